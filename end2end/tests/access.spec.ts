// Access: names of subjects and guests, closed rooms, renewals of tokens.

import type { Browser, BrowserContext } from '@playwright/test';

import { expect, test } from '../fixtures/app';
import type { Server } from '../fixtures/server';
import { keyFile, token } from '../fixtures/token';

/** The URL of the token endpoint, which the browser's routing answers in place of a real one. */
const TOKEN_URL = '/sign-in/token';

test.use({ serverArgs: ['--token-keys', keyFile(), '--token-url', TOKEN_URL] });

/** A browser whose user has signed in. */
async function signedIn(browser: Browser, server: Server, value: string): Promise<BrowserContext> {
  const context = await browser.newContext();
  await context.addCookies([{ name: 'everbeat-token', value, url: server.url, httpOnly: true }]);
  return context;
}

test('who has signed in goes by their name, and guests are told apart', async ({
  browser,
  openPage,
  server,
}) => {
  const context = await signedIn(browser, server, token({ sub: 'ada', name: 'Ada' }));
  const ada = await openPage('lobby', { context });
  const guest = await openPage();
  await guest.name.fill('Ada');
  await guest.name.press('Enter');
  await expect(ada.people.getByRole('listitem')).toHaveText([/Ada\s*\(you\)/, /Ada \(guest\)/]);
  await expect(ada.name).toBeDisabled();
  await expect(ada.name).toHaveValue('Ada');
  await guest.send('it is me');
  await ada.send('no, it is me');
  await expect(ada.message('it is me').locator('.author')).toHaveText('Ada (guest)');
  await expect(guest.message('no, it is me').locator('.author')).toHaveText('Ada');
  await context.close();
});

test('a room for reading has no open input box', async ({ browser, openPage, server, guard }) => {
  const rooms = { news: ['read' as const], 'team-*': ['read' as const, 'write' as const] };
  const context = await signedIn(browser, server, token({ sub: 'bob', name: 'Bob', rooms }));
  const editor = await openPage('news');
  await editor.send('today');
  const bob = await openPage('news', { context });
  await expect(bob.message('today')).toBeVisible();
  await expect(bob.input).toBeDisabled();
  await expect(bob.input).toHaveAttribute('placeholder', /read, not write/);
  await bob.goToRoom('team-a');
  await expect(bob.input).toBeEnabled();
  await bob.send('here I may');
  await bob.expectFate('here I may', 'durable');
  // A closed room's page says so, also if the user changes to it within the page.
  guard.expected.push(/status of 403/);
  await bob.goToRoom('attic');
  await expect(bob.page.getByRole('heading', { name: 'This room is closed to you' })).toBeVisible();
  await expect(bob.input).toHaveCount(0);
  await context.close();
});

test('a room that is closed says so, and nothing of what is in it', async ({
  browser,
  openPage,
  server,
}) => {
  const editor = await openPage('secret');
  await editor.send('of this nobody knows');
  await editor.expectFate('of this nobody knows', 'durable');
  const closed = { 403: token({ sub: 'bob', rooms: {} }), 401: token({ sub: 'bob', goodFor: -60 }) };
  for (const [status, value] of Object.entries(closed)) {
    const context = await signedIn(browser, server, value);
    const page = await context.newPage();
    const answer = await page.goto(`${server.url}/r/secret`);
    expect(answer!.status()).toBe(Number(status));
    await expect(page.getByRole('heading', { level: 1 })).toHaveText(/closed to you|Sign in first/);
    expect(await answer!.text()).not.toContain('nobody knows');
    await context.close();
  }
});

test('a token is renewed unnoticed', async ({ browser, openPage, server }) => {
  const short = () => token({ sub: 'ada', name: 'Ada', goodFor: 3 });
  const context = await signedIn(browser, server, short());
  let fetched = 0;
  await context.route(`**${TOKEN_URL}`, (route) => {
    fetched += 1;
    return route.fulfill({ body: short() });
  });
  const ada = await openPage('lobby', { context });
  await expect.poll(() => fetched).toBeGreaterThanOrEqual(3);
  await ada.send('still here');
  await ada.expectFate('still here', 'durable');
  expect((await ada.states()).filter(({ state }) => state === 'live')).toHaveLength(1);
  expect(ada.wire.connections).toHaveLength(1);
  await context.close();
});

test.describe('without guests', () => {
  test.use({
    serverArgs: [
      ...['--token-keys', keyFile(), '--token-url', TOKEN_URL],
      ...['--guests', 'off', '--token-grace', '1s'],
    ],
  });

  test('a sign-in that ends is said, and the page comes back after the next one', async ({
    browser,
    guard,
    openPage,
    server,
  }) => {
    guard.expected.push(/Failed to load resource: .* 401/);
    const context = await signedIn(browser, server, token({ sub: 'ada', name: 'Ada', goodFor: 2 }));
    let signedOut = true;
    await context.route(`**${TOKEN_URL}`, (route) =>
      signedOut
        ? route.fulfill({ status: 401 })
        : route.fulfill({ body: token({ sub: 'ada', name: 'Ada' }) }),
    );
    const ada = await openPage('lobby', { context });
    await ada.expectState('stopped');
    await expect(ada.why).toContainText('sign in again');
    await ada.send('written meanwhile');
    await ada.expectWaiting(1);
    signedOut = false;
    await ada.tryNow.click();
    await ada.expectState('live');
    await ada.expectFate('written meanwhile', 'durable');
    await context.close();
  });
});
