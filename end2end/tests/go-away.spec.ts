// A drain: pages reconnect in their slots (RC-3).

import { expect, test } from '../fixtures/app';
import { expectSameLog } from '../pages/room-page';

/** The error of a measured time on a busy machine, in both directions. */
const EARLY_MS = 400;
const LATE_MS = 1_400;

const DRAIN_MS = 3_000;

test.use({ serverArgs: ['--drain', `${DRAIN_MS}ms`] });

test('a server that restarts sends its pages away and has them back in their slots', async ({
  openPage,
  server,
}) => {
  const [ada, bob] = [await openPage(), await openPage()];
  await ada.send('before');
  await expect(bob.message('before')).toBeVisible();

  const stopping = server.terminate();
  await Promise.all([ada.expectState('waiting'), bob.expectState('waiting')]);
  await ada.send('during');
  await ada.expectWaiting(1);
  expect(await stopping).toBe(0);
  await server.start();
  await Promise.all([ada.expectState('live'), bob.expectState('live')]);

  const slots = [];
  for (const { wire } of [ada, bob]) {
    const [goAway] = wire.since(0, 'go_away');
    expect(goAway, 'the page was told').toBeDefined();
    const slot = Number(goAway!.fields.reconnect_after_ms);
    const next = wire.connections.find((at) => at > goAway!.at);
    // The page reconnects neither before its slot nor long after it, within the error of a busy machine.
    expect(slot, 'the server is gone by then').toBeGreaterThanOrEqual(DRAIN_MS);
    expect(next! - goAway!.at).toBeGreaterThan(slot - EARLY_MS);
    expect(next! - goAway!.at).toBeLessThan(slot + LATE_MS);
    slots.push(slot);
  }
  expect(new Set(slots).size, 'each has a slot of its own').toBe(2);
  await bob.send('after');
  await expectSameLog([ada, bob], ['before', 'during'], ['after']);
});
