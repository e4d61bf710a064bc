// A half-open connection under a user who types (HB-6).

import { expect, test } from '../fixtures/app';
import { expectSameLog } from '../pages/room-page';

/** HB-6: the bound, whatever the heartbeat's interval is. */
const NOTICED_WITHIN_MS = 3_000;
/** The time between two keys, and a timer's delay on a busy machine. */
const TOLERANCE_MS = 500;

test('a silent connection is noticed by a typing person, and nothing is lost', async ({
  openPage,
  chaos,
  server,
}) => {
  const ada = await openPage();
  const bob = await openPage('lobby', { via: server });
  await ada.send('before');
  await ada.expectFate('before', 'durable');
  await ada.page.evaluate(() => Object.assign(window, { isSamePage: true }));

  const stalledAt = await ada.page.evaluate(() => performance.now());
  chaos.stall();
  await ada.send('into the void');
  await ada.expectFate('into the void', 'sent');
  const typing = ada.type('a long sentence into the void, key by key', 100);
  await ada.expectState(/waiting|connecting|offline/);
  const lostAt = (await ada.states()).find(({ state, at }) => state !== 'live' && at > stalledAt);
  expect(lostAt!.at - stalledAt).toBeLessThan(NOTICED_WITHIN_MS + TOLERANCE_MS);

  await typing;
  await ada.input.press('Enter');
  await ada.send('during');
  await bob.send('meanwhile');
  await ada.expectWaiting(3);
  // The bytes that were on the way are dropped.
  chaos.cut();
  chaos.restore();
  await ada.expectState('live');
  await expectSameLog(
    [ada, bob],
    ['before', 'into the void', 'a long sentence into the void, key by key', 'during'],
    ['meanwhile'],
  );
  expect(await ada.page.evaluate(() => 'isSamePage' in window)).toBe(true);
});
