// What the page says of its connection: why it is not live, what its return brought, and how often it is announced.

import type { Page } from '@playwright/test';

import { expect, test } from '../fixtures/app';

declare global {
  interface Window {
    /** The texts that live regions had, in order, but for messages. */
    announced: string[];
    /** What the page said of its connection, in order. */
    reasons: string[];
  }
}

/** Records from now on what a screen reader announces beside messages, and why there is no connection. */
async function listen(page: Page): Promise<void> {
  await page.evaluate(() => {
    Object.assign(window, { announced: [], reasons: [] });
    const regions = '[role=status], [role=alert], [aria-live=polite], [aria-live=assertive]';
    const watch = new MutationObserver((changes) => {
      for (const { target } of changes) {
        const element = target instanceof Element ? target : target.parentElement;
        if (element?.closest('[aria-hidden=true], [aria-live=off], output')) continue;
        const region = element?.closest(regions);
        if (region?.matches('[role=log]')) continue;
        const text = region?.textContent?.trim();
        if (text && text !== window.announced.at(-1)) window.announced.push(text);
      }
      const why = document.querySelector('.connection .why')?.textContent;
      if (why && why !== window.reasons.at(-1)) window.reasons.push(why);
    });
    watch.observe(document.body, { characterData: true, childList: true, subtree: true });
  });
}

const announced = (page: Page) => page.evaluate(() => window.announced);

test('an outage says why, which try comes next, and what the return brought', async ({
  openPage,
  chaos,
  server,
}) => {
  const ada = await openPage();
  const bob = await openPage('lobby', { via: server });
  await bob.send('before');
  await expect(ada.message('before')).toBeVisible();
  await listen(ada.page);

  chaos.stall();
  await ada.send('into the void');
  await expect(ada.connection).toContainText('Checking the connection…');
  await expect(ada.why).toContainText('The server stopped answering.');
  await expect.poll(() => announced(ada.page)).toHaveLength(1);
  await ada.send('meanwhile');
  await bob.sendAll(['one', 'two', 'three']);
  chaos.blockWebSockets();
  chaos.cut();
  chaos.restore();
  await expect(ada.why).toContainText('The server cannot be reached.');
  await expect(ada.why).toContainText(/Try [3-9] after [\d.]+ m?s, drawn from up to (1|2|4|8|10) s\./);
  await expect(ada.connection).toContainText(/Reconnecting in \d+ s/);

  chaos.allowWebSockets();
  await expect(ada.why).toHaveText('Resumed: 1 sent again, 1 sent, 3 caught up, 0 lost');
  await expect(ada.connection).toContainText('Live');
  // It fades after a while.
  await expect(ada.why).toHaveText('', { timeout: 15_000 });
  expect(await announced(ada.page)).toEqual([
    'Connection lost. The server stopped answering. Trying again.',
    'Live again. Resumed: 1 sent again, 1 sent, 3 caught up, 0 lost',
  ]);
});

test('a lost ack is a message that had arrived', async ({ openPage, chaos, server }) => {
  const ada = await openPage();
  const bob = await openPage('lobby', { via: server });
  chaos.loseNextAck({ andBlock: true });
  await ada.send('once');
  await expect(bob.message('once')).toBeVisible();
  await expect(ada.why).toContainText('The server cannot be reached.');
  chaos.allowWebSockets();
  await expect(ada.why).toHaveText('Resumed: 1 had arrived, 0 lost');
});

test('a heart beats when a heartbeat was exchanged, without motion by its colour', async ({
  openPage,
}) => {
  for (const reducedMotion of ['no-preference', 'reduce'] as const) {
    const room = await openPage('lobby', { reducedMotion, forcedColors: 'active' });
    const heart = room.page.locator('.pulse');
    const before = await room.beats();
    // An event that makes the link doubtful: the page asks at once.
    await room.page.evaluate(() => window.dispatchEvent(new Event('online')));
    await expect.poll(() => room.beats()).toBeGreaterThan(before);
    const look = await heart.evaluate((mark) => {
      const { animationName, animationDuration } = getComputedStyle(mark);
      return { animationName, animationDuration };
    });
    const kind = reducedMotion === 'reduce' ? /^hold-(odd|even)$/ : /^beat-(odd|even)$/;
    expect(look.animationName).toMatch(kind);
    expect(parseFloat(look.animationDuration)).toBeGreaterThan(0.5);
  }
});

test.describe('a server that restarts', () => {
  test.use({ serverArgs: ['--drain', '3s'] });

  test('is said, with the turn that the page has', async ({ openPage, server }) => {
    const ada = await openPage();
    await listen(ada.page);
    await server.terminate();
    await server.start();
    await expect(ada.why).toHaveText('Resumed: 0 lost');
    const reasons = await ada.page.evaluate(() => window.reasons);
    expect(reasons[0]).toBe('The server is restarting. It gave this page a turn of its own.');
  });
});

test.describe('a server that takes a message a second', () => {
  test.use({ serverArgs: ['--publishes', '1', '--publish-burst', '1'] });

  test('says how long one has to wait', async ({ openPage, chaos }) => {
    const ada = await openPage();
    chaos.blockWebSockets();
    await ada.expectState('waiting');
    await ada.sendAll(Array.from({ length: 9 }, (_, index) => `quick ${index}`));
    chaos.allowWebSockets();
    await ada.hurry();
    await expect(ada.why).toHaveText(/Too many at once: your messages go on, the last in \d+ s\./);
    await ada.expectWaiting(0);
    await expect(ada.why).not.toContainText('Too many');
  });
});

test('whom an operator ended cannot write until they come back', async ({
  browser,
  openPage,
  server,
}) => {
  const ada = await openPage('kitchen');
  await ada.name.fill('Ada');
  await ada.name.press('Enter');
  await ada.input.fill('half a sen');
  await listen(ada.page);
  const status = await browser.newPage();
  await status.goto(`${server.adminUrl}/status`);
  await status.getByRole('row', { name: /\bAda\b/ }).getByRole('link').click();
  await status.getByText('Remove…').click();
  await status.getByRole('button', { name: 'Yes, remove it' }).click();

  await expect(ada.why).toContainText('An operator ended this session.');
  await expect(ada.why).toContainText('Try now');
  await expect(ada.input).toHaveAttribute('readonly', '');
  await expect(ada.input).toHaveAccessibleDescription(/An operator ended this session/);
  await expect(ada.sendButton).toBeDisabled();
  await ada.input.press('Enter');
  await expect(ada.input).toHaveValue('half a sen');
  await ada.expectWaiting(0);
  await ada.tryNow.click();
  await ada.expectState('live');
  await ada.input.press('Enter');
  await ada.expectFate('half a sen', 'durable');
  const heard = await announced(ada.page);
  expect(heard.filter((text) => text.includes('operator'))).toHaveLength(1);
  await status.close();
});
