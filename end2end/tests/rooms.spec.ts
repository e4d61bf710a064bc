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
