// The page without a network or a server: what it keeps, and when it reconnects.

import { expect, test } from '../fixtures/app';
import { expectSameLog } from '../pages/room-page';

test('what is sent without a connection survives a reload and arrives once', async ({
  openPage,
  chaos,
  server,
}) => {
  const ada = await openPage();
  const bob = await openPage('lobby', { via: server });
  await ada.send('before');
  await ada.expectFate('before', 'durable');

  chaos.blockWebSockets();
  await ada.expectState(/waiting|connecting/);
  const waiting = ['one', 'two', 'three'];
  await ada.sendAll(waiting);
  await ada.expectWaiting(3);

  await ada.page.reload();
  await ada.expectHydrated();
  await ada.expectWaiting(3);
  for (const text of waiting) await ada.expectFate(text, 'waiting');
  await ada.send('four');
  await ada.expectWaiting(4);
  expect(await ada.bodies()).toEqual(['before', ...waiting, 'four']);
  expect(await bob.bodies()).toEqual(['before']);

  chaos.allowWebSockets();
  await expectSameLog([ada, bob], ['before', ...waiting, 'four']);
});

test('a message whose ack was lost is not sent twice after a reload', async ({
  openPage,
  chaos,
  server,
}) => {
  const ada = await openPage();
  const bob = await openPage('lobby', { via: server });
  chaos.loseNextAck({ andBlock: true });
  await ada.send('once');
  await expect(bob.message('once')).toBeVisible();
  await ada.expectWaiting(1);
  await ada.page.reload();
  await ada.expectHydrated();
  chaos.allowWebSockets();
  await expectSameLog([ada, bob], ['once']);
});

test('without a network the page says so, and is back as soon as there is one', async ({
  openPage,
  chaos,
}) => {
  const ada = await openPage();
  await ada.page.context().setOffline(true);
  chaos.blockWebSockets();
  await ada.expectState('offline');
  await expect(ada.connection).toContainText(/Offline, trying again in \d+ s/);
  await expect(ada.tryNow).toBeVisible();
  await ada.send('later');
  await ada.expectWaiting(1);

  chaos.allowWebSockets();
  await ada.page.context().setOffline(false);
  // Without the `online` event the next try would be after 30 s.
  await ada.expectState('live', 5_000);
  await ada.expectFate('later', 'durable');
});

test('while it waits the page counts down, and a button spares one the wait', async ({
  openPage,
  server,
}) => {
  const ada = await openPage('lobby', { via: server });
  await server.kill();
  await expect(ada.connection).toContainText(/Reconnecting in [2-9] s/);
  // While the browser reports no network, the wait is 30 s.
  await ada.page.evaluate(() => window.dispatchEvent(new Event('offline')));
  await expect(ada.connection).toContainText(/trying again in (30|2\d) s/);
  await expect(ada.connection).toContainText(/trying again in 2[0-6] s/);
  await server.start();
  await ada.tryNow.click();
  await ada.expectState('live', 5_000);
  await expect(ada.tryNow).toBeHidden();
});
