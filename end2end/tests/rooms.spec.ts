// Changes of the room within a page, and older messages.

import { expect, test } from '../fixtures/app';

test('two rooms do not mix', async ({ openPage }) => {
  const [red, blue] = [await openPage('red'), await openPage('blue')];
  const reader = await openPage('red');
  await red.send('in red');
  await blue.send('in blue');
  await blue.type('typing in blue');
  await expect(reader.message('in red')).toBeVisible();
  await blue.expectFate('in blue', 'durable');
  await red.type('typing in red');
  await expect(reader.typing.locator('.body')).toHaveText('typing in red');

  expect(await reader.bodies()).toEqual(['in red']);
  expect(await blue.bodies()).toEqual(['in blue']);
  await expect(reader.received).toHaveText('typing in red');
  await expect(reader.people.getByRole('listitem')).toHaveCount(2);
  await expect(blue.people.getByRole('listitem')).toHaveCount(1);
});

test('going to another room and back keeps page, connection and session', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  await ada.page.evaluate(() => Object.assign(window, { isSamePage: true }));
  await ada.send('in the lobby');
  await ada.expectFate('in the lobby', 'durable');
  const [session] = await ada.distinct('data-session');

  await ada.goToRoom('elsewhere');
  await expect(ada.message('in the lobby')).toHaveCount(0);
  await ada.send('in the other room');
  await ada.expectFate('in the other room', 'durable');
  expect(await ada.distinct('data-session')).toEqual([session]);
  await expect(bob.people.getByRole('listitem')).toHaveCount(1);
  await bob.send('said meanwhile');
  await bob.expectFate('said meanwhile', 'durable');

  await ada.page.getByRole('link', { name: 'Lobby' }).click();
  await expect.poll(() => ada.bodies()).toEqual(['in the lobby', 'said meanwhile']);
  await expect(bob.people.getByRole('listitem')).toHaveCount(2);
  expect(await ada.page.evaluate(() => 'isSamePage' in window)).toBe(true);
  expect(ada.wire.connections).toHaveLength(1);
});

test('back and forward go through rooms within one page', async ({ openPage }) => {
  const ada = await openPage();
  const { page } = ada;
  await page.evaluate(() => Object.assign(window, { isSamePage: true }));
  await expect(page).toHaveTitle('lobby · Everbeat');
  await ada.send('in the lobby');
  await ada.expectFate('in the lobby', 'durable');
  // A fragment link stays in the room.
  await page.locator('.skip').press('Enter');
  await expect(page).toHaveURL(/#message$/);
  await expect(ada.input).toBeFocused();
  await expect(ada.message('in the lobby')).toBeVisible();
  await ada.goToRoom('elsewhere');
  await expect(page).toHaveTitle('elsewhere · Everbeat');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('elsewhere');
  await ada.send('in the other room');
  await ada.expectFate('in the other room', 'durable');

  await page.goBack();
  await expect(page).toHaveTitle('lobby · Everbeat');
  await expect.poll(() => ada.bodies()).toEqual(['in the lobby']);
  await page.goForward();
  await expect(page).toHaveTitle('elsewhere · Everbeat');
  await expect.poll(() => ada.bodies()).toEqual(['in the other room']);
  expect(await page.evaluate(() => 'isSamePage' in window)).toBe(true);
  expect(ada.wire.connections).toHaveLength(1);
});

test('what is new in the rooms visited before is counted, by a page in view alone', async ({ openPage, browser }) => {
  const context = await browser.newContext();
  const ada = await openPage('tea', { context });
  const bob = await openPage('tea');
  const rooms = ada.page.getByRole('navigation', { name: 'Rooms' }).getByRole('link');
  const asked = () => ada.wire.since(0, 'history').filter(({ from }) => from === 'page').length;
  await bob.send('one');
  await expect(ada.message('one')).toBeVisible();
  await ada.goToRoom('garden');
  await expect(rooms).toHaveText(['Lobby', 'garden', 'tea']);
  await expect(rooms.nth(1)).toHaveAttribute('aria-current', 'page');
  await bob.sendAll(['two', 'three']);
  await bob.expectFate('three', 'durable');

  // A page that is loaded asks once for each room but its own; a hidden one never.
  await ada.page.reload();
  await ada.expectHydrated();
  await expect(rooms).toHaveText(['Lobby', 'garden', 'tea 2 new']);
  const before = asked();
  await bob.send('four');
  await bob.expectFate('four', 'durable');
  await ada.hide(true);
  await ada.hide(false);
  await expect(rooms.nth(2)).toHaveText('tea 2 new');
  await rooms.nth(2).click();
  await expect(ada.message('four')).toBeVisible();
  await expect(rooms).toHaveText(['Lobby', 'garden', 'tea']);
  await ada.goToRoom('garden');
  await expect(rooms).toHaveText(['Lobby', 'garden', 'tea']);
  expect(asked()).toBe(before);

  // Another tab of this browser knows the rooms, too.
  const other = await openPage('attic', { context });
  const others = other.page.getByRole('navigation', { name: 'Rooms' }).getByRole('link');
  await expect(others).toHaveText(['Lobby', 'attic', 'garden', 'tea']);
  await context.close();
});

test('the title counts what came while the page was hidden', async ({ openPage }) => {
  const [ada, bob] = [await openPage('tea'), await openPage('tea')];
  await bob.send('seen');
  await expect(ada.message('seen')).toBeVisible();
  await expect(ada.page).toHaveTitle('tea · Everbeat');
  await ada.hide(true);
  await bob.sendAll(['new', 'and new']);
  await expect(ada.page).toHaveTitle('(2) tea · Everbeat');
  await ada.hide(false);
  await expect(ada.page).toHaveTitle('tea · Everbeat');
});

test('where there is no room there is a way to the lobby', async ({ browser, server }) => {
  const page = await browser.newPage();
  for (const [path, heading] of [
    ['/r/No%20Room', 'No room by this name'],
    ['/nothing/here', 'No page here'],
  ] as const) {
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    page.on('websocket', (socket) => asked.push(socket.url()));
    const response = await page.goto(`${server.url}${path}`);
    page.removeAllListeners();
    expect(response?.status()).toBe(404);
    // There is nothing to keep up to date: no program, and no session.
    expect(asked.filter((what) => !/\.(css|svg)$/.test(what))).toEqual([path]);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText(heading);
    const field = page.getByRole('textbox', { name: 'Room', exact: true });
    await page.keyboard.press('Tab');
    await expect(page.locator('.skip')).toBeFocused();
    await page.keyboard.press('Enter');
    await expect(field).toBeFocused();
    await field.fill('Tea Room');
    await field.press('Enter');
    await expect(page).toHaveURL(`${server.url}/r/tea-room`);
    await page.goBack();
    await page.getByRole('main').getByRole('link').click();
    await expect(page).toHaveURL(`${server.url}/`);
    await expect(page.getByRole('textbox', { name: 'Message', exact: true })).toBeEnabled();
  }
  await page.context().close();
});

test('older messages come on demand', async ({ openPage }) => {
  const ada = await openPage();
  const texts = Array.from({ length: 60 }, (_, index) => `message ${index + 1}`);
  await ada.sendAll(texts);
  await ada.expectFate('message 60', 'durable');
  const bob = await openPage();
  await expect(bob.message('message 60')).toBeVisible();
  await expect(bob.message('message 1')).toHaveCount(0);
  await bob.older.click();
  await expect.poll(() => bob.bodies()).toEqual(texts);
  await expect(bob.older).toBeHidden();
});
