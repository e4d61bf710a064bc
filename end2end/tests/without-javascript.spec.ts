// A room without JavaScript.

import { expect, test } from '../fixtures/app';

test('without JavaScript the room can be read and written to', async ({
  browser,
  openPage,
  server,
}) => {
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

  const send = page.getByRole('button', { name: 'Send', exact: true });
  const message = page.getByRole('textbox', { name: 'Message', exact: true });
  await page.getByRole('textbox', { name: 'Your name' }).fill('Bob');
  await message.fill('third');
  await send.click();
  await expect(page).toHaveURL(`${server.url}/r/readable`);
  await expect(log.locator('.body')).toHaveText(['first', 'second', 'third']);
  await expect(ada.message('third').locator('.author')).toHaveText('Bob');
  await expect(page.getByRole('textbox', { name: 'Your name' })).toHaveValue('Bob');
  // A reload does not send a form twice.
  await page.reload();
  await expect(log.locator('.body')).toHaveCount(3);

  const long = 'x'.repeat(9_000);
  await message.fill(long);
  await send.click();
  await expect(page.getByRole('heading', { name: 'Not sent' })).toBeVisible();
  await expect(page.getByRole('alert')).toContainText('longer than');
  const again = page.getByRole('textbox', { name: 'Your message' });
  await expect(again).toHaveValue(long);
  await again.fill('shorter');
  await send.click();
  await expect(log.locator('.body')).toHaveText(['first', 'second', 'third', 'shorter']);

  await page.getByRole('textbox', { name: 'Room', exact: true }).fill('Tea Room');
  await page.getByRole('button', { name: 'Go', exact: true }).click();
  await expect(page).toHaveURL(`${server.url}/r/tea-room`);
  await context.close();
});
