// The fate of a message, as the page shows it (EO-5).

import { expect, test } from '../fixtures/app';

test('a message waits, is sent, and is durable', async ({ openPage, chaos }) => {
  const room = await openPage();
  chaos.blockWebSockets();
  await room.expectState(/waiting|connecting/);
  await room.send('hello');
  await room.expectFate('hello', 'waiting');
  await expect(room.message('hello').locator('.fate')).toHaveText(/waiting/i);
  await room.expectWaiting(1);

  chaos.allowWebSockets();
  await room.expectFate('hello', 'durable');
  await room.expectWaiting(0);
  expect(await room.fates('hello')).toEqual(['waiting', 'sent', 'durable']);
});

test('a message on a silent connection is sent, and not yet durable', async ({
  openPage,
  chaos,
}) => {
  const room = await openPage();
  chaos.stall();
  await room.send('anybody there?');
  await room.expectFate('anybody there?', 'sent');
  await room.expectWaiting(1);
  chaos.restore();
  await room.expectFate('anybody there?', 'durable');
  await room.expectWaiting(0);
});

test('the button sends as Enter does', async ({ openPage }) => {
  const room = await openPage();
  await room.input.fill('by mouse');
  await room.sendButton.click();
  await room.expectFate('by mouse', 'durable');
  await expect(room.input).toHaveValue('');
});

test('a message that is too long stays in the box, with the reason', async ({ openPage }) => {
  const room = await openPage();
  const text = 'x'.repeat(9_000);
  await room.input.fill(text);
  await room.input.press('Enter');
  await expect(room.alert).toBeVisible();
  await expect(room.input).toHaveValue(text);
  expect(await room.bodies()).toEqual([]);
});
