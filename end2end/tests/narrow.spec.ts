// The page on narrow and low screens, and in forced colours.

import { expect, test } from '../fixtures/app';
import { sideways, violations } from '../fixtures/axe';

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
    await page.getByRole('button', { name: /rooms/ }).click();
    await expect(page.getByRole('textbox', { name: 'Your name' })).toBeVisible();
    await expect(page.getByRole('heading', { name: 'People here' })).toBeHidden();
  });
}

/** Narrow and low screens: phones, upright, on their side and with a keyboard; 1280 x 1024 magnified four times. */
const SMALL = [
  { width: 320, height: 568 },
  { width: 360, height: 740 },
  { width: 360, height: 400 },
  { width: 740, height: 360 },
  { width: 320, height: 256 },
];

for (const viewport of SMALL) {
  test(`at ${viewport.width} x ${viewport.height} header and input box stay, and a sheet has the rest`, async ({
    openPage,
  }) => {
    const ada = await openPage('tea', { viewport });
    const { page } = ada;
    const header = page.getByRole('banner');
    const room = page.getByRole('textbox', { name: 'Room', exact: true });
    await ada.sendAll(Array.from({ length: 12 }, (_, index) => `message ${index + 1}`));
    await ada.expectFate('message 12', 'durable');
    for (const part of [header, ada.input, ada.sendButton, ada.sheetButton]) {
      await expect(part).toBeInViewport({ ratio: 1 });
    }
    const isWhole = () => document.documentElement.scrollHeight <= window.innerHeight;
    expect(await page.evaluate(isWhole), 'the page does not scroll').toBe(true);
    await expect(ada.name).toBeHidden();

    await ada.sheetButton.focus();
    await page.keyboard.press('Enter');
    await expect(page.locator('#around:popover-open')).toBeVisible();
    await expect(header).toBeInViewport({ ratio: 1 });
    await page.keyboard.press('Tab');
    await expect(ada.name).toBeFocused();
    await expect(ada.name).toBeInViewport({ ratio: 1 });
    await expect(ada.people.getByRole('listitem')).toHaveCount(1);
    // The keyboard stays in the sheet and in the header: it reaches nothing behind.
    for (let stops = 0; stops < 12; stops += 1) {
      await page.keyboard.press('Tab');
      expect(await page.evaluate(() => !document.activeElement?.closest('.conversation'))).toBe(true);
    }
    await page.keyboard.press('Escape');
    await expect(ada.name).toBeHidden();
    await expect(ada.input).toBeInViewport({ ratio: 1 });

    await ada.sheetButton.click();
    await room.fill('garden');
    await room.press('Enter');
    await expect(page).toHaveURL(/\/r\/garden$/);
    await expect(ada.name).toBeHidden();
    await expect(ada.sheetButton).toBeFocused();
  });
}

test('without JavaScript the sheet has the name and the rooms', async ({ browser, server }) => {
  const viewport = { width: 360, height: 740 };
  const context = await browser.newContext({ javaScriptEnabled: false, viewport });
  const page = await context.newPage();
  await page.goto(`${server.url}/r/readable`);
  const name = page.getByRole('textbox', { name: 'Your name' });
  await expect(name).toBeHidden();
  const button = page.getByRole('button', { name: /rooms/ });
  await button.click();
  await name.fill('Bob');
  await expect(page.getByRole('link', { name: 'Lobby' })).toBeVisible();
  await button.click();
  await page.getByRole('textbox', { name: 'Message', exact: true }).fill('by hand');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await expect(page.getByRole('log').locator('.author')).toHaveText('Bob');
  await context.close();
});

test('a sheet that is open when the page comes alive stays open', async ({ browser, server }) => {
  const context = await browser.newContext({ viewport: { width: 360, height: 740 } });
  const page = await context.newPage();
  let go = () => {};
  const wait = new Promise<void>((done) => (go = done));
  await page.route(/\.wasm$/, async (route) => wait.then(() => route.continue()));
  await page.goto(`${server.url}/r/slow`, { waitUntil: 'commit' });
  await page.getByRole('button', { name: /rooms/ }).click();
  const name = page.getByRole('textbox', { name: 'Your name' });
  await name.pressSequentially('Bo');
  go();
  await expect(page.locator('body[data-hydrated="true"]')).toBeAttached();
  await name.pressSequentially('b');
  await expect(name).toHaveValue('Bob');
  await context.close();
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`an open sheet and a page that is no room's are accessible, ${colorScheme}`, async ({ openPage, server, guard }) => {
    guard.expected.push(/status of 404/);
    const ada = await openPage('tea', { colorScheme, viewport: { width: 320, height: 568 } });
    await ada.sheetButton.click();
    await expect(ada.name).toBeVisible();
    const expectNothing = async () => {
      expect(await violations(ada.page)).toEqual([]);
      expect(await sideways(ada.page), 'nothing scrolls sideways').toEqual([]);
    };
    await expectNothing();
    await ada.page.goto(`${server.url}/r/No%20Room`);
    await expectNothing();
  });
}

test('a window that grows has all of it beside the conversation', async ({ openPage }) => {
  const ada = await openPage('tea', { viewport: { width: 740, height: 800 } });
  await ada.sheetButton.click();
  await ada.page.setViewportSize({ width: 1200, height: 800 });
  await expect(ada.sheetButton).toBeHidden();
  for (const part of [ada.name, ada.input]) await expect(part).toBeInViewport({ ratio: 1 });
  const [left, right] = [await ada.sendButton.boundingBox(), await ada.name.boundingBox()];
  expect(right!.x).toBeGreaterThan(left!.x + left!.width);
  // A click elsewhere closes what was a sheet; it stays beside.
  await ada.input.click();
  await expect(ada.name).toBeInViewport({ ratio: 1 });
});

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
  const dot = await ada.people.getByRole('listitem').evaluate((person) => {
    const { backgroundColor, borderColor } = getComputedStyle(person, '::before');
    return [backgroundColor, borderColor];
  });
  expect(dot[0]).not.toBe(colours[1]);
  expect(dot[0]).not.toBe('rgba(0, 0, 0, 0)');
});
