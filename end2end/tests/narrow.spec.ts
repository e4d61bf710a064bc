// The page on narrow and low screens, and in forced colours.

import { expect, test } from '../fixtures/app';

for (const width of [390, 320]) {
  test(`at ${width} px the way home stays, and nothing jumps`, async ({ openPage, chaos, page, server }) => {
    const viewport = { width, height: 700 };
    const ada = await openPage('tea', { viewport });
    const home = ada.page.getByRole('link', { name: 'Everbeat' });
    const header = ada.page.getByRole('banner');
    const height = async () => (await header.boundingBox())!.height;
    const live = await height();
    await expect(home).toBeVisible();
    chaos.blockWebSockets();
    await ada.expectState('waiting');
    await ada.send('on its way');
    await expect(home).toBeVisible();
    expect(await height()).toBe(live);
    await page.addInitScript(() => Reflect.deleteProperty(window, 'WebAssembly'));
    await page.setViewportSize(viewport);
    await page.goto(`${server.url}/r/tea`, { waitUntil: 'commit' });
    await expect(page.getByRole('alert')).toContainText('WebAssembly');
    await expect(page.getByRole('link', { name: 'Everbeat' })).toBeVisible();
    expect((await page.getByRole('banner').boundingBox())!.height).toBe(live);
    await expect(page.getByRole('heading', { name: 'People here' })).toBeHidden();
  });
}

test('magnified four times the first screen holds messages and the input box', async ({
  openPage,
  chaos,
}) => {
  const ada = await openPage('tea', { viewport: { width: 320, height: 256 } });
  await ada.send('something said');
  await ada.expectFate('something said', 'durable');
  chaos.blockWebSockets();
  await ada.expectState('waiting');
  await ada.page.evaluate(() => window.scrollTo(0, 0));
  for (const part of [ada.message('something said').locator('.body'), ada.input, ada.sendButton]) {
    await expect(part).toBeInViewport({ ratio: 1 });
  }
});

test('the state has a mark in forced colours, too', async ({ openPage }) => {
  const ada = await openPage('tea', { forcedColors: 'active' });
  const colours = await ada.page.locator('.pulse').evaluate((mark) => [
    getComputedStyle(mark).backgroundColor,
    getComputedStyle(document.body).backgroundColor,
  ]);
  expect(colours[0]).not.toBe(colours[1]);
  expect(colours[0]).not.toBe('rgba(0, 0, 0, 0)');
});
