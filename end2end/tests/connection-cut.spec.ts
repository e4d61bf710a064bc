// Connections that are cut while both pages send.

import { expect, test } from '../fixtures/app';
import { expectSameLog, numbered } from '../pages/room-page';

test('a connection cut ten times while both send loses and doubles nothing', async ({
  openPage,
  chaos,
}) => {
  const [ada, bob] = [await openPage(), await openPage()];
  const rounds = numbered('', 10).map((round) => ({
    ada: numbered(`ada${round}:`, 2),
    bob: numbered(`bob${round}:`, 2),
  }));
  for (const [index, round] of rounds.entries()) {
    await ada.hurry();
    await bob.hurry();
    // The hard cases, in turn: the message is lost on its way; the message is durable, but its ack is
    // lost.
    if (index % 2 === 0) chaos.stall();
    else chaos.loseNextAck();
    const talking = Promise.all([ada.sendAll(round.ada), bob.sendAll(round.bob)]);
    if (index % 2 === 0) {
      await ada.expectFate(round.ada[0]!, 'sent');
      chaos.cut();
      chaos.restore();
    }
    await talking;
  }
  const sent = (who: 'ada' | 'bob') => rounds.flatMap((round) => round[who]);
  await expectSameLog([ada, bob], sent('ada'), sent('bob'));
  expect(chaos.acksLost).toBe(5);
});

test('a short break shows no departure', async ({ openPage, chaos, server }) => {
  const ada = await openPage();
  const bob = await openPage('lobby', { via: server });
  await expect(bob.people.getByRole('listitem')).toHaveCount(2);
  chaos.cut();
  await expect.poll(() => ada.wire.connections.length).toBe(2);
  await ada.expectState('live');
  await ada.send('still here');
  await expect(bob.message('still here')).toBeVisible();
  const left = bob.wire.since(0, 'presence').flatMap((frame) => frame.fields.left);
  expect(left).toEqual([]);
  await expect(bob.people.getByRole('listitem')).toHaveCount(2);
});
