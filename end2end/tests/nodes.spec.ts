// A page that knows several addresses of its server (RC-8).

import { expect, test } from '../fixtures/app';
import { ChaosProxy } from '../fixtures/chaos-proxy';
import { freePort } from '../fixtures/ports';
import { Server } from '../fixtures/server';

test('a page whose address dies goes to another one, with its session and what was written', async ({
  openPage,
  chaos,
}) => {
  const port = await freePort();
  const [first, second] = [await ChaosProxy.start(port), await ChaosProxy.start(port)];
  const socket = ({ port }: ChaosProxy) => `ws://127.0.0.1:${port}/ws`;
  const addresses = [socket(first), socket(second)];
  const server = await Server.start(
    ['--addresses', addresses.join(','), '--allowed-origins', [first.url, second.url].join(',')],
    port,
  );
  const ada = await openPage('lobby', { via: first });
  const bob = await openPage('lobby', { via: second });
  const opened: string[] = [];
  ada.page.on('websocket', (socket) => opened.push(socket.url()));
  await ada.send('before');
  await expect(bob.message('before')).toBeVisible();

  // What dies with it logs errors in the page.
  chaos.wasDisturbed = true;
  await first.close();
  await ada.send('after');
  await expect(bob.message('after')).toBeVisible();
  await ada.expectState('live');
  expect(opened.at(-1)).toBe(addresses[1]);
  const welcomes = ada.wire.since(0, 'welcome').map(({ fields }) => fields.resumed);
  expect(welcomes).toEqual([false, true]);

  await server.dispose();
  await second.close();
});
