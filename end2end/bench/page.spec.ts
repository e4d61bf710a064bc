// Measures the page's weight and speed. Prints one JSON object:
//   bytes           the download of a first visit, compressed with brotli
//   interactive_ms  from navigation to a typed character taking effect, first visits on a slow CPU
//   scroll          tasks that block the page while a long room is loaded and scrolled through
//   typing_ms       from a key on one page to its paint on another
// Run it with `npm run --silent bench` after a release build; `make bench ONLY=page` does, and keeps it.

import { type Browser, expect, test } from '@playwright/test';

import { Server } from '../fixtures/server';
import { fill } from './fill';
import { armFirstKey, loadOlder, type LongTasks, notePaints, watchLongTasks } from './in-page';
import { percentile, round } from './statistics';

const CPU_SLOWDOWN = 4;
const LOADS = 15;
const KEYS = 250;
// A fast typist. Drafts of faster keys would be merged: a client sends at most 20 a second.
const KEY_INTERVAL_MS = 90;
const MESSAGES = Number(process.env.MESSAGES ?? 10_000);
const SCREENS = 200;

const UNLIMITED = ['--publishes', '1000000', '--publish-burst', '1000000'];

let server: Server;

test.beforeAll(async () => {
  server = await Server.start(UNLIMITED);
});

test.afterAll(async () => {
  await server.dispose();
});

test('the page', async ({ browser }) => {
  const bytes = await measureBytes(browser);
  const interactive = await measureInteractive(browser);
  const typing = await measureTyping(browser);
  const scroll = await measureScroll(browser);
  const result = { bytes, interactive_ms: interactive, scroll, typing_ms: typing };
  console.log(JSON.stringify(result, undefined, 2));
});

/** The download of a first visit by kind, in bytes on the wire. */
async function measureBytes(browser: Browser) {
  const page = await browser.newPage();
  const bytes = { wasm: 0, js: 0, css: 0, fonts: 0, total: 0 };
  const sizes: Promise<void>[] = [];
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    const kind = /\.(wasm|js|css|woff2?|ttf|otf)$/.exec(pathname)?.[1];
    if (!kind) return;
    sizes.push(
      response
        .request()
        .sizes()
        .then(({ responseBodySize }) => {
          const key = kind === 'wasm' || kind === 'js' || kind === 'css' ? kind : 'fonts';
          bytes[key] += responseBodySize;
          bytes.total += responseBodySize;
        }),
    );
    expect(response.headers()['content-encoding'], pathname).toBe('br');
    expect(response.headers()['cache-control'], pathname).toContain('immutable');
  });
  await page.goto(server.url, { waitUntil: 'networkidle' });
  await Promise.all(sizes);
  await page.context().close();
  return bytes;
}

/** Each load is a first visit: a context of its own, with an empty cache. */
async function measureInteractive(browser: Browser) {
  const times: number[] = [];
  // The first load warms the server up, and is not counted.
  for (let load = 0; load <= LOADS; load += 1) {
    const context = await browser.newContext();
    const page = await context.newPage();
    const cdp = await context.newCDPSession(page);
    await cdp.send('Emulation.setCPUThrottlingRate', { rate: CPU_SLOWDOWN });
    await page.addInitScript(armFirstKey);
    await page.goto(server.url, { waitUntil: 'commit' });
    const time = await page.waitForFunction(() => window.firstKeyAt);
    if (load > 0) times.push(Number(await time.jsonValue()));
    await context.close();
  }
  return { p50: round(percentile(times, 50)), max: round(Math.max(...times)), loads: times.length };
}

/** The time from a key in one browser to its paint in another. */
async function measureTyping(browser: Browser) {
  const [author, reader] = [await browser.newContext(), await browser.newContext()];
  const [from, to] = [await author.newPage(), await reader.newPage()];
  await to.addInitScript(notePaints);
  for (const page of [from, to]) {
    await page.goto(`${server.url}/r/typing`);
    await expect(page.locator('.connection')).toHaveAttribute('data-state', 'live');
  }
  await from.evaluate(() => {
    window.keysAt = [];
    const note = (event: Event) => window.keysAt.push(performance.timeOrigin + event.timeStamp);
    document.querySelector('#message')?.addEventListener('keydown', note, { capture: true });
  });
  await from.locator('#message').focus();
  for (let key = 0; key < KEYS; key += 1) {
    await from.keyboard.press('abcdefghij'[key % 10] ?? 'x');
    await from.waitForTimeout(KEY_INTERVAL_MS);
  }
  await expect.poll(() => to.evaluate((keys) => window.paintsAt[keys], KEYS)).toBeTruthy();
  const keys = await from.evaluate(() => window.keysAt);
  const paints = await to.evaluate(() => window.paintsAt);
  const times = keys.map((at, index) => {
    // A text without a paint of its own was painted with the next one.
    const paint = paints.slice(index + 1).find((painted) => painted);
    return (paint ?? Number.NaN) - at;
  });
  await Promise.all([author.close(), reader.close()]);
  const [p50, p95, p99] = [50, 95, 99].map((percent) => round(percentile(times, percent)));
  return { p50, p95, p99, keys: times.length };
}

/** Loads a long room as far as the page can hold it, then scrolls through it. */
async function measureScroll(browser: Browser) {
  await fill(server.url, browser, 'long', MESSAGES);
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.addInitScript(watchLongTasks);
  await page.goto(`${server.url}/r/long`);
  await expect(page.locator('.connection')).toHaveAttribute('data-state', 'live');
  await page.evaluate(() => (window.longTasks.length = 0));
  await page.locator('.scroller').hover();
  const shown = await page.evaluate(loadOlder);
  const loading = await takeLongTasks(page);
  for (let screen = 0; screen < SCREENS; screen += 1) {
    await page.mouse.wheel(0, screen % 50 < 25 ? 3000 : -3000);
    await page.waitForTimeout(16);
  }
  const scrolling = await takeLongTasks(page);
  await context.close();
  return {
    messages: MESSAGES,
    shown,
    long_tasks_over_50ms: loading.length + scrolling.length,
    longest_ms: round(Math.max(0, ...loading, ...scrolling)),
    while_loading: loading.length,
    while_scrolling: scrolling.length,
  };

  async function takeLongTasks(of: typeof page): Promise<LongTasks> {
    // The browser reports a long task some time after it.
    await of.waitForTimeout(500);
    return of.evaluate(() => window.longTasks.splice(0));
  }
}
