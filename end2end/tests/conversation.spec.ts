// The conversation: times and days, groups, the line above what is new, links and code, the focus.

import type { Page } from '@playwright/test';

import { expect, test } from '../fixtures/app';
import { numbered } from '../pages/room-page';

const DAY_MS = 24 * 60 * 60 * 1000;
const TAIPEI = { locale: 'en-GB', timezoneId: 'Asia/Taipei' };

/** What has the focus: an id, a class, or the element's name. */
async function focused(page: Page): Promise<string | undefined> {
  return page.evaluate(() => {
    const { id, className, localName } = document.activeElement ?? {};
    return id || className || localName;
  });
}

test('times are those of the reader', async ({ browser, openPage }) => {
  const ada = await openPage();
  await ada.send('when?');
  await ada.expectFate('when?', 'durable');
  const at = await ada.message('when?').locator('time').getAttribute('datetime');
  const time = (locale: string, timeZone: string) =>
    new Intl.DateTimeFormat(locale, { timeStyle: 'short', timeZone }).format(new Date(at!));

  const bob = await openPage('lobby', TAIPEI);
  const clock = bob.message('when?').locator('time');
  await expect(clock).toHaveText(time('en-GB', 'Asia/Taipei'));
  await expect(clock).toHaveAttribute('title', /GMT\+8/);
  // A reader of another language still counts the hours as at home.
  const eve = await openPage('lobby', { locale: 'de-DE', timezoneId: 'America/New_York' });
  await expect(eve.message('when?').locator('time')).toHaveText(
    time('en-GB', 'America/New_York'),
  );

  // Without the program the times say that they are in UTC.
  const context = await browser.newContext({ ...TAIPEI, javaScriptEnabled: false });
  const plain = await context.newPage();
  await plain.goto(bob.page.url());
  await expect(plain.locator('.message time')).toHaveText(`${time('en-GB', 'UTC')} UTC`);
  await expect(plain.locator('.message time')).toBeVisible();
  await expect(plain.locator('.day')).toHaveText(`${at!.slice(0, 10)} UTC`);
  await context.close();
});

test('no time is shown that will be another one', async ({ openPage, page, server }) => {
  const ada = await openPage();
  await ada.send('when?');
  await ada.expectFate('when?', 'durable');
  let isHeld = true;
  await page.route('**/*.wasm', async (route) => {
    while (isHeld) await new Promise((resolve) => setTimeout(resolve, 20));
    await route.continue();
  });
  await page.goto(server.url, { waitUntil: 'commit' });
  const row = page.locator('.message', { hasText: 'when?' });
  await expect(row.locator('.author')).toBeVisible();
  await expect(row.locator('time')).toBeHidden();
  const place = async () => (await row.boundingBox())!.y;
  const before = await place();
  isHeld = false;
  await expect(row.locator('time')).toBeVisible();
  expect(await place(), 'nothing jumps').toBe(before);
});

test('a day has a line above its first message', async ({ browser, openPage }) => {
  const ada = await openPage();
  await ada.sendAll(['one', 'two']);
  await ada.expectFate('two', 'durable');
  const lines = ada.log.locator('.day');
  await expect(lines).toHaveText('Today');
  const days = [
    [1, 'Yesterday'],
    [2, new Intl.DateTimeFormat('en-GB', { dateStyle: 'full' }).format(Date.now())],
  ] as const;
  for (const [later, text] of days) {
    const context = await browser.newContext({ locale: 'en-GB' });
    await context.clock.setFixedTime(Date.now() + later * DAY_MS);
    const bob = await openPage('lobby', { context });
    await expect(bob.log.locator('.day')).toHaveText(text);
    await context.close();
  }
  expect(await ada.log.locator('li').evaluateAll((all) => all.map((li) => li.className))).toEqual([
    'line day',
    'message own',
    'message own follows',
  ]);
});

test('times and days are in the language of the page', async ({ openPage }) => {
  const ada = await openPage();
  await ada.send('when?');
  await ada.expectFate('when?', 'durable');
  const at = new Date((await ada.message('when?').locator('time').getAttribute('datetime'))!);
  for (const [language, locale, today] of [
    ['zh-Hant', 'zh-TW', '今天'],
    ['zh-Hans', 'zh-CN', '今天'],
  ] as const) {
    const bob = await openPage('lobby', { language, locale, timezoneId: 'Asia/Taipei' });
    await expect(bob.log.locator('.day')).toHaveText(today);
    const time = await bob.page.evaluate(
      (at) => new Intl.DateTimeFormat([], { timeStyle: 'short' }).format(at),
      at.getTime(),
    );
    await expect(bob.message('when?').locator('time')).toHaveText(time);
    await bob.hide(true);
    await ada.send('new');
    await expect(bob.log.locator('.new')).toHaveText(language === 'zh-Hant' ? '1 則新訊息' : '1 条新消息');
  }
});

test('messages of one author are a group', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  await ada.name.fill('Ada');
  await ada.sendAll(['one', 'two']);
  await expect(bob.message('two')).toBeVisible();
  await bob.send('three');
  await bob.expectFate('three', 'durable');
  await ada.send('four');
  await expect(bob.message('four')).toBeVisible();
  const authors = bob.log.locator('.author');
  // Screen readers read each name.
  await expect(authors).toHaveText(['Ada', 'Ada', 'You', 'Ada']);
  const isSeen = await authors.evaluateAll((all) => all.map((author) => author.clientWidth > 1 || author.getBoundingClientRect().width > 1));
  expect(isSeen).toEqual([true, false, true, true]);
});

test('a line stands above what came while the page was hidden', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  await ada.send('seen');
  await expect(bob.message('seen')).toBeVisible();
  await bob.hide(true);
  await ada.sendAll(['one', 'two']);
  await expect(bob.message('two')).toBeAttached();
  const line = bob.log.locator('.new');
  await expect(line).toHaveText('2 new messages');
  await expect(line.locator('xpath=following-sibling::li[1]').locator('.body')).toHaveText('one');

  // It stays while the reader reads, and ends with an answer.
  await bob.hide(false);
  await ada.send('three');
  await expect(bob.message('three')).toBeVisible();
  await expect(line).toHaveText('2 new messages');
  await bob.send('an answer');
  await expect(line).toHaveCount(0);
});

test('the focus stays on the page when a button is gone', async ({ openPage, chaos }) => {
  const ada = await openPage();
  await ada.sendAll(numbered('message', 60));
  await ada.expectFate('message 60', 'durable');
  const bob = await openPage();
  await bob.page.evaluate(() => {
    const seen: (string | null)[] = [];
    Object.assign(window, { busy: seen });
    const log = document.querySelector('[role=log]')!;
    const note = () => seen.push(log.getAttribute('aria-busy'));
    new MutationObserver(note).observe(log, { attributeFilter: ['aria-busy'] });
  });
  await bob.older.focus();
  await bob.older.press('Enter');
  await expect(bob.older).toHaveCount(0);
  await expect.poll(() => focused(bob.page)).toBe('scroller');
  expect(await bob.page.evaluate(() => Reflect.get(window, 'busy'))).toEqual(['true', 'false']);

  // Messages that came below.
  await bob.message('message 1').scrollIntoViewIfNeeded();
  await ada.sendAll(['one', 'two']);
  const unseen = bob.page.getByRole('button', { name: '2 new messages' });
  await unseen.focus();
  await unseen.press('Enter');
  await expect(bob.message('two')).toBeInViewport();
  await expect(unseen).toHaveCount(0);
  await expect.poll(() => focused(bob.page)).toBe('scroller');

  // The connection that is back.
  chaos.blockWebSockets();
  await expect(bob.tryNow).toBeVisible();
  await bob.tryNow.focus();
  chaos.allowWebSockets();
  await bob.hurry();
  await expect(bob.tryNow).toBeHidden();
  await expect.poll(() => focused(bob.page)).not.toBe('body');
});

test('links lead away from the page, and code is shown as code', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  const texts = [
    'Read https://example.org/a?b=c&d (or mailto:ada@example.org), not javascript:alert(1).',
    'Call `let x = "<b>";` twice',
    'Like this:\n```rust\nfn main() {\n    <b>\n}\n```\nthat is all',
    'https://bank.example@evil.example/ is no link',
  ];
  for (const text of texts) await ada.send(text);
  await ada.expectFate(texts[3]!, 'durable');
  for (const isReloaded of [false, true]) {
    if (isReloaded) await bob.page.reload();
    await expect.poll(() => bob.bodies()).toEqual(texts);
    await expect(bob.log.getByRole('link')).toHaveText([
      'https://example.org/a?b=c&d',
      'mailto:ada@example.org',
    ]);
    const link = bob.log.getByRole('link').first();
    await expect(link).toHaveAttribute('href', 'https://example.org/a?b=c&d');
    await expect(link).toHaveAttribute('rel', 'noopener noreferrer nofollow');
    await expect(link).toHaveAttribute('target', '_blank');
    await expect(bob.log.locator('code')).toHaveCount(2);
    // The marks are in the text, and take no place.
    const marks = bob.log.locator('code i');
    for (const width of await marks.evaluateAll((all) => all.map((it) => it.getBoundingClientRect().width))) {
      expect(width).toBe(0);
    }
    await expect(bob.log.locator('b')).toHaveCount(0);
  }
});
