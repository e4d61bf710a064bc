// The example of docs/api.md: a page that follows a room by Server-Sent Events.

import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from '../fixtures/app';
import { Gateway } from '../fixtures/gateway';

/** The code that docs/api.md shows, without the line that calls it. */
async function documented(): Promise<string> {
  const text = await readFile(join(__dirname, '../../docs/api.md'), 'utf8');
  const code = /```js\n([\s\S]*?)```/.exec(text)?.[1];
  return code!.slice(0, code!.indexOf('\nconst stop'));
}

test('the loop of docs/api.md follows a room through 502s, and misses and doubles nothing', async ({
  page,
  server,
}) => {
  const gateway = await Gateway.start(server.port);
  const say = async (body: string) => {
    const answer = await fetch(`${server.url}/api/rooms/tea/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
      body: JSON.stringify({ body }),
    });
    expect(answer.status).toBe(201);
  };
  const isFollowed = async (times: number) => {
    await expect.poll(() => gateway.events.passed).toBe(times);
  };
  const bodies = () => page.evaluate<string[]>('seen.map(([, { body }]) => body)');

  await say('before');
  await page.goto(`${gateway.url}/blank`);
  // An EventSource alone gives up, as the document says.
  await page.evaluate("var alone = new EventSource('/api/rooms/tea/events')");
  await isFollowed(1);
  await page.evaluate(`{
    ${await documented()}
    var seen = [];
    var stop = follow('/api/rooms/tea', (kind, data) => seen.push([kind, data]));
  }`);
  await isFollowed(2);

  // Once before its first event, and once after some.
  for (const round of [1, 2]) {
    const { refused, passed } = gateway.events;
    await server.kill();
    await expect.poll(() => gateway.events.refused).toBeGreaterThan(refused + 1);
    await expect.poll(() => page.evaluate('alone.readyState')).toBe(2);
    await server.start();
    await say(`${round}: meanwhile`);
    await isFollowed(passed + 1);
    await say(`${round}: live`);
    await expect.poll(bodies).toHaveLength(2 * round);
  }
  expect(await bodies()).toEqual(['1: meanwhile', '1: live', '2: meanwhile', '2: live']);
  await gateway.close();
});
