// The start of the program on the server's page, without errors and doubled messages.

import { expect, test } from '../fixtures/app';

test('the page comes alive without a complaint', async ({ openPage }) => {
  const room = await openPage();
  await expect(room.page).toHaveTitle(/Everbeat/);
  await expect(room.connection).toContainText('Live');
  await expect(room.connection).toContainText(/\d+ ms/);
  await expect(room.people.getByRole('listitem')).toHaveText([/\(you\)/]);
  await expect(room.tryNow).toBeHidden();
  await room.expectWaiting(0);
});

test('a room that has a history comes alive with it, each message once', async ({ openPage }) => {
  const first = await openPage('history');
  await first.sendAll(['one', 'two']);
  await first.expectFate('two', 'durable');
  const second = await openPage('history');
  await expect.poll(() => second.bodies()).toEqual(['one', 'two']);
  await expect(second.received).toHaveText('two');
  await first.send('three');
  await expect.poll(() => second.bodies()).toEqual(['one', 'two', 'three']);
  // RS-7: messages that came with the page are not sent again.
  const received = second.wire.since(0, 'message').map(({ fields }) => fields.body);
  expect(received).toEqual(['three']);
});
