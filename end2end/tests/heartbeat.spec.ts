// Heartbeats: how many there are, and when there is none.

import { expect, test } from '../fixtures/app';

const INTERVAL_MS = 1_500;
/** The least length of a connection's first interval, which is random (HB-3). */
const LEAST_INTERVAL_MS = INTERVAL_MS / 2;
/** The error of a measured time on a busy machine, in both directions. */
const TOLERANCE_MS = 500;

test.use({
  serverArgs: ['--heartbeat-interval', `${INTERVAL_MS}ms`, '--heartbeat-timeout', '1s'],
});

test('an idle page exchanges one heartbeat per interval', async ({ openPage }) => {
  const room = await openPage();
  const { wire } = room;
  const start = Date.now();
  await expect.poll(() => wire.since(start, 'pong').length).toBeGreaterThanOrEqual(5);
  const pongs = wire.since(start, 'pong');
  const pings = wire.since(start, 'ping');
  expect(Math.abs(pings.length - pongs.length)).toBeLessThanOrEqual(1);
  // The mean pause: a machine that is busy for a moment reports several at once.
  const pause = (pongs.at(-1)!.at - pongs[0]!.at) / (pongs.length - 1);
  expect(pause).toBeGreaterThan(INTERVAL_MS - TOLERANCE_MS);
  expect(pause).toBeLessThan(INTERVAL_MS + TOLERANCE_MS);
  const since = wire.frames.filter(({ at }) => at >= pongs[0]!.at);
  expect(new Set(since.map(({ type }) => type))).toEqual(new Set(['ping', 'pong']));
  await expect.poll(() => room.beats()).toBeGreaterThanOrEqual(5);
});

test('pages with traffic both ways exchange no heartbeat', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  const start = Date.now();
  // 40 keys in 6 s: each page receives drafts all the time.
  await Promise.all([
    ada.type('when two people type at once, who reads?', 150),
    bob.type('nobody reads then, and that is just fine', 150),
  ]);
  for (const { wire } of [ada, bob]) {
    expect(wire.since(start, 'draft').length).toBeGreaterThan(30);
    expect(wire.needlessPings(LEAST_INTERVAL_MS - 100)).toEqual([]);
  }
});

test('a page that only listens does not ask whether the server lives', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  const start = Date.now();
  await ada.type('a sentence of some length, read in peace', 150);
  const elapsed = Date.now() - start;
  expect(bob.wire.since(start, 'draft').length).toBeGreaterThan(15);
  // The server receives no frame from such a page, and may ping it, at most once in 0.95 intervals (HB-4);
  // the silence before the first ping may have begun earlier.
  const fromServer = bob.wire.since(start, 'ping').filter(({ from }) => from === 'server');
  expect(fromServer.length).toBeLessThanOrEqual(1 + elapsed / (0.95 * INTERVAL_MS));
  expect(bob.wire.needlessPings(LEAST_INTERVAL_MS - 100)).toEqual([]);
});
