import { expect, test } from '../fixtures/app';

test('without JavaScript the room can be read', async ({ browser, openPage, server }) => {
  const ada = await openPage('readable');
  await ada.name.fill('Ada');
  await ada.sendAll(['first', 'second']);
  await ada.expectFate('second', 'durable');

  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${server.url}/r/readable`);
  const log = page.getByRole('log', { name: 'Messages' });
  await expect(log.locator('.body')).toHaveText(['first', 'second']);
  await expect(log.locator('.author')).toHaveText(['Ada', 'Ada']);
  await expect(page.getByRole('status', { name: 'Received message' })).toHaveText('second');
  await expect(page.getByText(/without JavaScript/i)).toBeVisible();
  await expect(page.getByRole('link', { name: 'Lobby' })).toBeVisible();
  await context.close();
});
