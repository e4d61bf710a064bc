// Pages whose program does not run: the plain form, kept texts, alerts.

import type { Page } from '@playwright/test';

import { expect, test } from '../fixtures/app';
import type { Server } from '../fixtures/server';
import { Wire } from '../fixtures/wire';
import { RoomPage } from '../pages/room-page';

/** Opens a room's page without waiting for its program. */
async function visit(page: Page, server: Server, room = 'tea'): Promise<RoomPage> {
  // The page may reload itself before it has loaded.
  await page.goto(`${server.url}/r/${room}`, { waitUntil: 'commit' });
  return new RoomPage(page, new Wire(page));
}

/** Blocks the program: from now on no page of it starts. */
const forbidWasm = (page: Page) => page.route('**/*.wasm', (route) => route.abort());

/** Opens a page in a browser without WebAssembly, and waits for its alert. */
async function visitDead(page: Page, server: Server): Promise<RoomPage> {
  await page.addInitScript(() => Reflect.deleteProperty(window, 'WebAssembly'));
  const ada = await visit(page, server);
  await expect(ada.alert).toContainText('WebAssembly');
  return ada;
}

test('a dead page keeps what is typed, by room, and the name (EO-4)', async ({ page, server }) => {
  const ada = await visitDead(page, server);
  await ada.input.fill('  half a sentence\n');
  await ada.name.fill('Ada');
  await page.getByRole('link', { name: 'Load it again' }).click();
  await expect(ada.alert).toContainText('WebAssembly');
  await expect(ada.input).toHaveValue('  half a sentence\n');
  await expect(ada.name).toHaveValue('Ada');
  await ada.input.fill('typed since');
  await page.reload();
  await expect(ada.input).toHaveValue('typed since');
  await visit(page, server, 'coffee');
  await expect(ada.alert).toContainText('WebAssembly');
  await expect(ada.input).toHaveValue('');
  await expect(ada.name).toHaveValue('Ada');
  await visit(page, server);
  await expect(ada.input).toHaveValue('typed since');
});

test('the plain form of a dead page lets no text go before the server has it', async ({
  openPage,
  page,
  server,
}) => {
  const bob = await openPage('tea', { via: server });
  const ada = await visitDead(page, server);
  await ada.name.fill('Ada');
  const text = '  indented\n\n  twice';
  await ada.input.fill(text);
  await server.kill();
  await ada.sendButton.click();
  await expect(ada.alert).toContainText('the server did not answer');
  await expect(ada.input).toHaveValue(text);
  await server.start();
  await visit(page, server);
  await expect(ada.input).toHaveValue(text);
  await ada.sendButton.click();
  await expect(ada.log.locator('.body')).toHaveText([text]);
  await expect(ada.input).toHaveValue('');
  await expect(ada.name).toHaveValue('Ada');
  await expect.poll(() => bob.bodies()).toEqual([text]);
  await expect(bob.log.locator('.author')).toHaveText('Ada');

  const long = 'x'.repeat(9_000);
  await ada.input.fill(long);
  await ada.sendButton.click();
  await expect(ada.alert).toContainText('longer than');
  await expect(ada.input).toHaveValue(long);
  await ada.input.fill('shorter');
  await ada.sendButton.click();
  await expect(ada.log.locator('.body')).toHaveText([text, 'shorter']);
  await page.reload();
  await expect(ada.input).toHaveValue('');
});

test('a page that was alive leaves its text to one that is not, and says what waits', async ({
  openPage,
  server,
  guard,
}) => {
  guard.expected.push(/net::ERR_FAILED/);
  const ada = await openPage('tea', { via: server });
  await ada.name.fill('Ada');
  await ada.name.press('Enter');
  await server.kill();
  await ada.sendAll(['one', 'two']);
  await ada.input.fill('not yet sent');
  await forbidWasm(ada.page);
  // The live page is left first: it would send what waits as soon as the server is there.
  await ada.page.goto('about:blank');
  await server.start();
  await visit(ada.page, server);
  await expect(ada.alert).toContainText('2 messages wait in this browser');
  await expect(ada.input).toHaveValue('not yet sent');
  await expect(ada.name).toHaveValue('Ada');
  await ada.page.unroute('**/*.wasm');
  await visit(ada.page, server);
  await ada.expectState('live');
  await ada.expectFate('two', 'durable');
  await expect(ada.input).toHaveValue('not yet sent');
});

test('a program that does not come is said, and welcome later', async ({ page, server, guard }) => {
  guard.watch(page);
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/*.wasm', async (route) => {
    await held;
    await route.continue();
  });
  const ada = await visit(page, server);
  await expect(ada.alert).toContainText('has not come yet');
  await ada.input.fill('by the form');
  await ada.sendButton.click();
  await expect(ada.message('by the form')).toBeVisible();
  await ada.input.fill('kept');
  await expect(ada.alert).toContainText('has not come yet');
  release();
  await ada.expectState('live');
  await expect(ada.alert).toHaveCount(0);
  await expect(ada.input).toHaveValue('kept');
});

test('a style sheet that does not come holds nothing up', async ({ page, server, guard }) => {
  guard.watch(page);
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/*.css', async (route) => {
    await held;
    await route.continue();
  });
  const ada = await visit(page, server);
  await ada.expectState('live');
  await ada.send('without style');
  await ada.expectFate('without style', 'durable');
  await expect(page.getByText('came without its style')).toBeVisible();
  release();
  await expect(page.getByText('came without its style')).toBeHidden();
});

// Features that some browsers lack or an extension breaks: the page runs without them.
const LACKS: Record<string, () => void> = {
  'without crypto.randomUUID': () => Reflect.deleteProperty(Crypto.prototype, 'randomUUID'),
  'with a crypto.randomUUID that throws': () => {
    Crypto.prototype.randomUUID = () => {
      throw new Error('not allowed');
    };
  },
  'without crypto': () => Object.defineProperty(window, 'crypto', { value: undefined }),
  'without performance': () => Object.defineProperty(window, 'performance', { value: undefined }),
};

for (const [name, lack] of Object.entries(LACKS)) {
  test(`the page comes alive ${name}`, async ({ page, server, guard }) => {
    guard.watch(page);
    await page.addInitScript(lack);
    const ada = await visit(page, server);
    await ada.expectState('live');
    await ada.send('here');
    await ada.expectFate('here', 'durable');
  });
}

test('a driver that an exception ends is said, whatever was thrown', async ({ page, server }) => {
  await page.addInitScript(() => {
    // Breaks the driver's timers only, not those of this script and of the page's.
    const set = window.setTimeout;
    window.setTimeout = ((act: () => void, delay: number, ...rest: unknown[]) => {
      if (/wasm/.test(String(new Error().stack))) throw 'not an error';
      return set(act, delay, ...rest);
    }) as typeof setTimeout;
    const observe = performance.now.bind(performance);
    let count = 0;
    performance.now = () => {
      // The program's clock throws from its second read on.
      if (/wasm/.test(String(new Error().stack)) && ++count > 1) throw 'not an error';
      return observe();
    };
  });
  const ada = await visit(page, server);
  await expect(ada.alert).toContainText('fault');
  await ada.expectState('stopped');
  await ada.input.fill('all the same');
  await ada.input.press('Enter');
  await expect(ada.input).toHaveValue('all the same\n');
  await ada.sendButton.click();
  await expect(ada.message('all the same')).toBeVisible();
});

const FORBIDDEN: Record<string, () => void> = {
  'without WebSocket': () => Reflect.deleteProperty(window, 'WebSocket'),
  'with a WebSocket that throws': () => {
    window.WebSocket = class {
      constructor() {
        throw new DOMException('blocked', 'SecurityError');
      }
    } as unknown as typeof WebSocket;
  },
};

for (const [name, forbid] of Object.entries(FORBIDDEN)) {
  test(`${name} the page says so, and a plain form sends`, async ({ page, server }) => {
    await page.addInitScript(forbid);
    const ada = await visit(page, server);
    await expect(ada.alert).toContainText('forbids the connection');
    await ada.expectState('stopped');
    await ada.input.fill('by the form');
    await ada.sendButton.click();
    await expect(ada.message('by the form')).toBeVisible();
  });
}
