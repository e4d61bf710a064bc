// A server that is killed while both pages send.

import { expect, test } from '../fixtures/app';
import { expectSameLog, numbered } from '../pages/room-page';

test('a server killed while both send loses and doubles nothing', async ({ openPage, server }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  const rounds = [1, 2, 3].map((round) => ({
    ada: numbered(`ada ${round}:`, 6),
    bob: numbered(`bob ${round}:`, 6),
  }));
  for (const round of rounds) {
    const talking = Promise.all([ada.sendAll(round.ada), bob.sendAll(round.bob)]);
    // The round is under way.
    await expect(bob.message(round.ada[0]!)).toBeVisible();
    await server.kill();
    await talking;
    await server.start();
  }
  const sent = (who: 'ada' | 'bob') => rounds.flatMap((round) => round[who]);
  await expectSameLog([ada, bob], sent('ada'), sent('bob'));
});
