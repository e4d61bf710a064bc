// Messages that a closed tab left (RS-8).

import { setTimeout as delay } from 'node:timers/promises';

import type { BrowserContext } from '@playwright/test';

import { expect, test } from '../fixtures/app';
import type { Server } from '../fixtures/server';
import { keyFile, token } from '../fixtures/token';
import { expectSameLog, numbered } from '../pages/room-page';

/** Longer than the wait after a page's end before another one takes its leftovers over (RS-8). */
const GRACE_MS = 3_500;

test('what a closed tab left arrives once, by the next page', async ({
  browser,
  openPage,
  server,
}) => {
  const context = await browser.newContext();
  const ada = await openPage('lobby', { context });
  const bob = await openPage();
  await ada.name.fill('Ada');
  await ada.name.press('Enter');
  await ada.send('before');
  await ada.expectFate('before', 'durable');
  await server.kill();
  const left = numbered('left', 3);
  await ada.sendAll(left);
  await ada.expectWaiting(3);
  await ada.page.close();

  await server.start();
  const again = await openPage('lobby', { context });
  await again.expectFate('left 3', 'durable');
  await bob.hurry();
  await expectSameLog([again, bob], ['before', ...left]);
  await expect(bob.message('left 3').locator('.author')).toHaveText('Ada');
  await expect(again.message('left 3').locator('.author')).toHaveText('You');
  // Once everything is durable, no message is left for the next user of this browser.
  const keys = await again.page.evaluate(() => Object.keys(localStorage));
  expect(keys.sort()).toEqual(['everbeat.name', 'everbeat.rooms']);
  await context.close();
});

test('two tabs closed while the server is away: a third one sends what they left', async ({
  browser,
  openPage,
  server,
}) => {
  const context = await browser.newContext();
  const [one, two, third] = [
    await openPage('lobby', { context }),
    await openPage('lobby', { context }),
    await openPage('lobby', { context }),
  ];
  const bob = await openPage();
  await server.kill();
  const lists = [numbered('one', 3), numbered('two', 3)];
  await one.sendAll(lists[0]!);
  await two.sendAll(lists[1]!);
  // The second tab may take the first one's leftovers over; then the third takes over both.
  await one.page.close();
  await delay(GRACE_MS);
  await two.page.close();
  await third.expectWaiting(3);
  await server.start();
  await third.hurry();
  for (const text of lists.flat()) await third.expectFate(text, 'durable');
  await bob.hurry();
  await expectSameLog([third, bob], ...lists);
  await context.close();
});

test('a message whose ack was lost with its tab is not sent twice', async ({
  browser,
  openPage,
  chaos,
  server,
}) => {
  const context = await browser.newContext();
  const ada = await openPage('lobby', { context });
  const bob = await openPage('lobby', { via: server });
  chaos.loseNextAck({ andBlock: true });
  await ada.send('once');
  await expect(bob.message('once')).toBeVisible();
  await ada.expectWaiting(1);
  await ada.page.close();
  chaos.allowWebSockets();
  const again = await openPage('lobby', { context });
  await expect
    .poll(() => again.page.evaluate(() => Object.keys(localStorage).join()))
    .not.toContain('everbeat.left');
  await expectSameLog([again, bob], ['once']);
  await context.close();
});

test('a tab that is loaded anew keeps its messages, whatever other tabs are open', async ({
  browser,
  openPage,
  chaos,
}) => {
  const context = await browser.newContext();
  const ada = await openPage('lobby', { context });
  const other = await openPage('lobby', { context });
  await ada.send('before');
  await ada.expectFate('before', 'durable');
  chaos.blockWebSockets();
  await ada.expectState(/waiting|connecting/);
  await ada.send('mine');
  await ada.page.reload();
  await ada.expectHydrated();
  await ada.expectWaiting(1);
  await delay(GRACE_MS);
  await other.expectWaiting(0);
  chaos.allowWebSockets();
  await Promise.all([ada.hurry(), other.hurry()]);
  await ada.expectFate('mine', 'durable');
  const session = (text: string) => ada.message(text).getAttribute('data-session');
  expect(await session('mine')).toBe(await session('before'));
  await expectSameLog([ada, other], ['before', 'mine']);
  await context.close();
});

test('a page with messages on their way asks before it is left, and no other', async ({
  openPage,
  chaos,
  guard,
}) => {
  const ada = await openPage();
  await ada.send('durable');
  await ada.expectFate('durable', 'durable');
  await ada.page.reload();
  await ada.expectHydrated();
  await ada.expectState('live');
  expect(guard.asked).toBe(0);
  chaos.stall();
  await ada.send('on its way');
  await ada.expectWaiting(1);
  const closed = ada.page.waitForEvent('close');
  await ada.page.close({ runBeforeUnload: true });
  await closed;
  expect(guard.asked).toBe(1);
});

test.describe('where people sign in', () => {
  test.use({ serverArgs: ['--token-keys', keyFile()] });

  test('what another user left is published only if the user says so', async ({
    browser,
    openPage,
    chaos,
    server,
  }) => {
    const context = await browser.newContext();
    await signIn(context, server, 'ada', 'Ada');
    const ada = await openPage('lobby', { context });
    const guest = await openPage('lobby', { via: server });
    chaos.blockWebSockets();
    await ada.expectState(/waiting|connecting/);
    await ada.sendAll(['of Ada', 'and this']);
    await ada.expectWaiting(2);
    await ada.page.close();
    chaos.allowWebSockets();

    await signIn(context, server, 'bob', 'Bob');
    const bob = await openPage('lobby', { context });
    await bob.expectFate('of Ada', 'held');
    await bob.expectFate('and this', 'held');
    await bob.expectWaiting(0);
    await bob.send('I am Bob');
    await expect(guest.message('I am Bob')).toBeVisible();
    expect(await guest.bodies()).toEqual(['I am Bob']);

    // The message is kept until the user decides, also over a reload.
    await bob.page.reload();
    await bob.expectHydrated();
    await bob.message('and this').getByRole('button', { name: 'Drop' }).click();
    await expect(bob.message('and this')).toHaveCount(0);
    await bob.message('of Ada').getByRole('button', { name: 'Send' }).click();
    await bob.expectFate('of Ada', 'durable');
    await expect(guest.message('of Ada').locator('.author')).toHaveText('Bob');
    expect(await guest.bodies()).toEqual(['I am Bob', 'of Ada']);
    await context.close();
  });
});

/** Signs a user in, in this browser. */
async function signIn(
  context: BrowserContext,
  server: Server,
  sub: string,
  name: string,
): Promise<void> {
  const value = token({ sub, name });
  await context.addCookies([{ name: 'everbeat-token', value, url: server.url, httpOnly: true }]);
}
