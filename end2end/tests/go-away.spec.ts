import { expect, test } from '../fixtures/app';
import { expectSameLog } from '../pages/room-page';

const TOLERANCE_MS = 400;

test.use({ serverArgs: ['--drain', '3s'] });

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

  for (const { wire } of [ada, bob]) {
    const [goAway] = wire.since(0, 'go_away');
    const slot = goAway!.at + Number(goAway!.fields.reconnect_after_ms);
    const next = wire.connections.find((at) => at > goAway!.at);
    // Not before its turn, as far as a busy machine lets us see both moments.
    expect(next! - slot).toBeGreaterThan(-TOLERANCE_MS);
  }
  await bob.send('after');
  await expectSameLog([ada, bob], ['before', 'during'], ['after']);
});
