// A duplicated tab (RS-8).

import { expect, test } from '../fixtures/app';
import { expectSameLog } from '../pages/room-page';

test.use({ serverArgs: ['--heartbeat-interval', '1s', '--heartbeat-timeout', '1s'] });

test('a duplicated tab becomes a session of its own, and the two do not fight', async ({
  openPage,
}) => {
  const tab = await openPage();
  await tab.send('from the first');
  await tab.expectFate('from the first', 'durable');
  const sessionStorage = await tab.page.evaluate(() => ({ ...window.sessionStorage }));
  expect(Object.keys(sessionStorage)).not.toEqual([]);

  const copy = await openPage('lobby', { context: tab.page.context(), sessionStorage });
  // Two sessions of one user, who is one person (PR-4).
  await expect.poll(() => tab.wire.since(0, 'presence').length).toBeGreaterThan(0);
  await expect(tab.people.getByRole('listitem')).toHaveCount(1);
  const beats = await Promise.all([tab.beats(), copy.beats()]);
  await expect.poll(() => tab.beats()).toBeGreaterThanOrEqual(beats[0] + 4);
  await expect.poll(() => copy.beats()).toBeGreaterThanOrEqual(beats[1] + 4);

  await copy.send('from the second');
  await tab.send('and again');
  await expectSameLog([tab, copy], ['from the first', 'and again'], ['from the second']);
  expect(await tab.distinct('data-session')).toHaveLength(2);
  for (const page of [tab, copy]) {
    const states = (await page.states()).map(({ state }) => state);
    expect(states.filter((state) => state === 'live')).toHaveLength(1);
    expect(states.at(-1)).toBe('live');
    expect(page.wire.connections).toHaveLength(1);
  }
});

const BEFORE_THE_COPY = {
  'a duplicated tab does not send what waits in the first one': 'live',
  'a tab duplicated before it ever had a connection sends nothing twice': /waiting|connecting/,
};

for (const [title, state] of Object.entries(BEFORE_THE_COPY)) {
  test(title, async ({ openPage, chaos }) => {
    if (state !== 'live') chaos.blockWebSockets();
    const tab = await openPage('lobby', { state });
    chaos.blockWebSockets();
    await tab.send('mine');
    await tab.expectWaiting(1);
    const sessionStorage = await tab.page.evaluate(() => ({ ...window.sessionStorage }));
    chaos.allowWebSockets();

    const copy = await openPage('lobby', { context: tab.page.context(), sessionStorage });
    await copy.expectWaiting(0);
    await tab.hurry();
    await expectSameLog([tab, copy], ['mine']);
  });
}
