// The page in its languages: which one is chosen, and that nothing of another one is on it.

import type { Page } from '@playwright/test';

import { expect, test } from '../fixtures/app';
import { sideways, violations } from '../fixtures/axe';
import { type Language, NAMES } from '../pages/names';
import { RoomPage } from '../pages/room-page';
import { Wire } from '../fixtures/wire';

const LOCALES: Record<Language, string> = { en: 'en-GB', 'zh-Hant': 'zh-HK', 'zh-Hans': 'zh-CN' };
const LANGUAGES = Object.keys(LOCALES) as Language[];
/** Sentences of pages that are not a room's, or not alive. */
const SAID: Record<Language, Record<'nowhere' | 'noScript' | 'notSent' | 'tooLong' | 'wasm' | 'wait' | 'you', string>> = {
  en: {
    nowhere: 'No page here',
    noScript: 'Without JavaScript',
    notSent: 'Not sent',
    tooLong: 'the text is longer than this server takes',
    wasm: 'does not run WebAssembly (Lockdown Mode turns it off): this page cannot update by itself. What you write is sent with the button. Load it again to see what is new.',
    wait: 'Reconnecting',
    you: 'You',
  },
  'zh-Hant': {
    nowhere: '這裡沒有頁面',
    noScript: '沒有 JavaScript',
    notSent: '沒有送出',
    tooLong: '這段文字超過伺服器可接受的長度',
    wasm: '所以這一頁無法自動更新。你寫的內容，按按鈕就會送出。重新載入就能看到新的內容。',
    wait: '正在重新連線',
    you: '你',
  },
  'zh-Hans': {
    nowhere: '这里没有页面',
    noScript: '没有 JavaScript',
    notSent: '没有发出',
    tooLong: '这段文字超过服务器可接受的长度',
    wasm: '所以本页无法自动更新。你写的内容，点按钮就能发送。重新加载就能看到新内容。',
    wait: '正在重新连接',
    you: '你',
  },
};

const expectLanguage = (page: Page, language: Language) =>
  expect(page.locator('html')).toHaveAttribute('lang', language);

for (const language of LANGUAGES) {
  const said = SAID[language];
  const locale = LOCALES[language];

  test(`the page in ${language}: live, without a connection, and accessible`, async ({
    openPage,
    chaos,
    server,
  }) => {
    const viewport = { width: 360, height: 740 };
    const ada = await openPage('tea', { language, locale, viewport });
    await expectLanguage(ada.page, language);
    const bob = await openPage('tea', { via: server });
    await ada.send('one');
    await ada.expectFate('one', 'durable');
    await expect(ada.message('one').locator('.author')).toHaveText(said.you);
    await bob.send('two');
    await expect(ada.received).toHaveText('two');
    await bob.type('thr');
    await expect(ada.typing.locator('.body')).toHaveText('thr');
    expect(await violations(ada.page)).toEqual([]);
    expect(await sideways(ada.page), 'nothing scrolls sideways').toEqual([]);

    chaos.blockWebSockets();
    await expect(ada.tryNow).toBeVisible();
    await expect(ada.connection).toContainText(said.wait);
    await ada.send('three');
    await ada.expectWaiting(1);
    expect(await violations(ada.page)).toEqual([]);
    expect(await sideways(ada.page), 'nothing scrolls sideways').toEqual([]);
  });

  test(`the pages that are not alive in ${language}`, async ({ browser, server }) => {
    const context = await browser.newContext({ javaScriptEnabled: false, locale });
    const page = await context.newPage();
    await page.goto(`${server.url}/nothing/here`);
    await expectLanguage(page, language);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText(said.nowhere);
    expect(await page.title()).toBe(`${said.nowhere} · Everbeat`);

    await page.goto(`${server.url}/r/tea`);
    await expect(page.locator('.no-script')).toContainText(said.noScript);
    const { message, send } = NAMES[language];
    await page.getByRole('textbox', { name: message, exact: true }).fill('x'.repeat(9_000));
    await page.getByRole('button', { name: send, exact: true }).click();
    await expectLanguage(page, language);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText(said.notSent);
    await expect(page.getByRole('alert')).toContainText(said.tooLong);
    await context.close();

    const broken = await browser.newContext({ locale });
    const dead = await broken.newPage();
    await dead.addInitScript(() => Reflect.deleteProperty(window, 'WebAssembly'));
    await dead.goto(`${server.url}/r/tea`, { waitUntil: 'commit' });
    await expect(dead.getByRole('alert')).toContainText(said.wasm);
    await broken.close();
  });
}

test('the switch changes the language for good, and loses nothing', async ({
  openPage,
  server,
}) => {
  const ada = await openPage('tea', { via: server });
  await expectLanguage(ada.page, 'en');
  await ada.name.fill('Ada');
  await ada.name.press('Enter');
  await ada.send('one');
  await ada.expectFate('one', 'durable');
  await ada.input.fill('half a sen');
  const session = await ada.distinct('data-session');

  // From another room, to which the page changed without loading anything.
  await ada.goToRoom('coffee');
  await ada.goToRoom('tea');
  const switchTo = (name: string) =>
    ada.page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
  await switchTo('正體中文');
  const hant = new RoomPage(ada.page, new Wire(ada.page), NAMES['zh-Hant']);
  await expect(ada.page).toHaveURL(/\/r\/tea\?lang=zh-Hant$/);
  await expectLanguage(ada.page, 'zh-Hant');
  await hant.expectHydrated();
  await hant.expectState('live');
  await expect(hant.input).toHaveValue('half a sen');
  await expect(hant.name).toHaveValue('Ada');
  expect(await hant.distinct('data-session')).toEqual(session);

  // It stays without the address, and in other rooms.
  await ada.page.goto(`${server.url}/r/coffee`);
  await hant.expectState('live');
  await expectLanguage(ada.page, 'zh-Hant');
  await ada.page.reload();
  await hant.expectState('live');

  await switchTo('简体中文');
  const hans = new RoomPage(ada.page, new Wire(ada.page), NAMES['zh-Hans']);
  await hans.expectState('live');
  await expectLanguage(ada.page, 'zh-Hans');
  await switchTo('English');
  await ada.expectState('live');
  await expectLanguage(ada.page, 'en');
});

test('caches keep the languages apart', async ({ request, server }) => {
  const get = (path: string, headers: Record<string, string> = {}) =>
    request.get(`${server.url}${path}`, { headers });
  const english = await get('/r/tea');
  expect(english.headers()['vary']).toContain('accept-language, cookie');
  expect(english.headers()['cache-control']).toContain('private');
  expect(await english.text()).toContain('<html lang="en">');
  const asked = await get('/r/tea', { 'accept-language': 'de, zh-MO;q=0.5' });
  expect(await asked.text()).toContain('<html lang="zh-Hant">');
  expect(asked.headers()['set-cookie'] ?? '').not.toContain('everbeat-lang');
  const chosen = await get('/r/tea?lang=zh-CN', { 'sec-fetch-site': 'cross-site' });
  expect(await chosen.text()).toContain('<html lang="zh-Hans">');
  expect(chosen.headers()['set-cookie'] ?? '').not.toContain('everbeat-lang');
});

test('the program holds the sentences of no language', async ({ page, server }) => {
  const wasm = page.waitForResponse(/\.wasm$/);
  await page.goto(`${server.url}/r/tea`);
  const program = (await (await wasm).body()).toString('latin1');
  const bytes = (text: string) => Buffer.from(text).toString('latin1');
  for (const text of ['正在重新連線', '正在重新连接', 'Some messages could not be recovered']) {
    expect(program.includes(bytes(text)), text).toBe(false);
  }
});
