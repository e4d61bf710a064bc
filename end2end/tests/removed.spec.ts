// Redacted messages on pages (EO-8).

import { expect, test } from '../fixtures/app';
import { keyFile, token } from '../fixtures/token';

test.use({ serverArgs: ['--token-keys', keyFile()] });

test('a removed text goes from the pages that show it, and from those that were away', async ({
  chaos,
  openPage,
  request,
  server,
}) => {
  const ada = await openPage();
  const near = await openPage('lobby', { via: server });
  await ada.sendAll(['first', 'treacherous', 'last']);
  await ada.expectFate('last', 'durable');
  await expect(near.message('last')).toBeVisible();
  await expect(near.received).toHaveText('last');

  // Ada's page goes through the proxy: it gets the redaction when it reconnects.
  chaos.blockWebSockets();
  chaos.cut();
  const moderator = token({ sub: 'mod', rooms: { '*': ['moderate'] } });
  const gone = await request.delete(`${server.url}/api/rooms/lobby/messages/2`, {
    headers: { authorization: `Bearer ${moderator}` },
  });
  expect(gone.status()).toBe(204);
  await expect.poll(() => near.bodies()).toEqual(['first', 'removed', 'last']);
  expect(await ada.bodies()).toEqual(['first', 'treacherous', 'last']);
  chaos.allowWebSockets();
  await expect.poll(() => ada.bodies()).toEqual(['first', 'removed', 'last']);
  await ada.expectState('live');

  await ada.send('after');
  await ada.expectFate('after', 'durable');
  await near.page.reload();
  await near.expectHydrated();
  expect(await near.bodies()).toEqual(['first', 'removed', 'last', 'after']);
});
