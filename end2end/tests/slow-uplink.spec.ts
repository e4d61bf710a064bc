// Long drafts on a slow line to the server (PR-2).

import { expect, test } from '../fixtures/app';

/** The text in the box before the typing: each draft has 2 kB. */
const LONG = 'x'.repeat(2_000);
const KEYS = 100;

for (const kilobits of [96, 32]) {
  test(`a line of ${kilobits} kbit/s carries a long draft, and leaves room`, async ({
    openPage,
    chaos,
    server,
  }) => {
    const ada = await openPage();
    const bob = await openPage('lobby', { via: server });
    chaos.throttle(kilobits * 1_000);
    await ada.input.fill(LONG);
    const [start, before] = [Date.now(), chaos.bytesUp];
    await ada.type('y'.repeat(KEYS), 100);
    const carries = ((Date.now() - start) * kilobits) / 8;
    expect(chaos.bytesUp - before).toBeLessThan(carries / 2);
    expect(ada.wire.since(start, 'draft').length).toBeGreaterThan(2);

    // The latest draft arrives soon, and so does the message.
    const latest = LONG + 'y'.repeat(KEYS);
    await expect
      .poll(() => bob.wire.since(start, 'draft').at(-1)?.fields.body, { timeout: 5_000 })
      .toBe(latest);
    await ada.send('and this');
    await ada.expectFate('and this', 'durable');
    expect(ada.wire.connections).toHaveLength(1);
    expect((await ada.states()).at(-1)!.state).toBe('live');
  });
}
