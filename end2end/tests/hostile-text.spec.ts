// Hostile texts, names and addresses: they are shown as text.

import { expect, test } from '../fixtures/app';

test('HTML in a message is shown as text', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  const text = '<img src=x onerror="alert(1)"><script>alert(2)</script><b>bold</b> &amp; </li>';
  await ada.name.fill('<i>Ada</i>');
  await ada.input.fill(text);
  await expect(bob.received).toHaveText(text);
  await expect(bob.typing.locator('.body')).toHaveText(text);
  await ada.input.press('Enter');
  await expect(bob.message(text)).toBeVisible();
  await expect(bob.message(text).locator('.author')).toHaveText('<i>Ada</i>');

  // The server's rendering is as harmless as the browser's.
  await bob.page.reload();
  await bob.expectHydrated();
  await bob.expectState('live');
  expect(await bob.bodies()).toEqual([text]);
  await expect(bob.log.locator('img, script, b, i')).toHaveCount(0);
});

test('control and direction characters do no harm', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  const texts = ['\u202Eright to left, never closed', 'a\u0000b', '\u2066 \u{1F468}\u200D\u{1F469}'];
  await ada.sendAll([...texts, 'after them']);
  await ada.expectFate('after them', 'durable');
  await expect(bob.message('after them')).toBeVisible();
  // HTML cannot hold NUL: it may be dropped or replaced, but no character around it.
  const harmless = [texts[0], expect.stringMatching(/^a[\u0000\uFFFD]?b$/), texts[2], 'after them'];
  expect(await ada.bodies()).toEqual(harmless);
  expect(await bob.bodies()).toEqual(harmless);

  await bob.page.reload();
  await bob.expectHydrated();
  await bob.expectState('live');
  expect(await bob.bodies()).toEqual(harmless);

  // A mark that is never closed ends with its element.
  const body = bob.log.locator('.body').first();
  const isolation = await body.evaluate((element) => {
    const { display, unicodeBidi } = getComputedStyle(element);
    return { display, unicodeBidi };
  });
  expect(isolation.display !== 'inline' || /isolate|plaintext/.test(isolation.unicodeBidi)).toBe(
    true,
  );
});

test('names that turn, hide or look like HTML are shown as text, each by itself', async ({
  openPage,
}) => {
  const [ada, bob] = [await openPage(), await openPage()];
  const names = [
    ['\u202EAda', 'Ada'],
    ['A\u200Dda', 'Ada'],
    ['\u{1F468}\u200D\u{1F469}', '\u{1F468}\u200D\u{1F469}'],
    ['"><img src=x onerror="alert(1)">', '"><img src=x onerror="alert(1)">'],
    ['\u0410da', '\u0410da'],
    ['\u05D0\u05D1\u05D2 1', '\u05D0\u05D1\u05D2 1'],
  ];
  for (const [index, [name, shown]] of names.entries()) {
    await ada.name.fill(name);
    await ada.input.fill(`draft ${index}`);
    await expect(bob.typing.locator('.body')).toHaveText(`draft ${index}`);
    await expect(bob.typing.locator('.author')).toHaveText(shown);
    await expect(bob.page.locator('.received .author')).toHaveText(shown);
    await expect(bob.people.getByText(shown, { exact: true })).toBeVisible();
    await ada.input.press('Enter');
    await expect(bob.message(`draft ${index}`).locator('.author')).toHaveText(shown);
  }
  // The server renders the same.
  for (const isReloaded of [false, true]) {
    if (isReloaded) {
      await bob.page.reload();
      await bob.expectHydrated();
    }
    expect(await bob.log.locator('.author').allTextContents()).toEqual(names.map(([, shown]) => shown));
    const authors = bob.page.locator('.author:visible');
    // A name's direction ends with its element.
    for (const unicodeBidi of await authors.evaluateAll((all) =>
      all.map((author) => getComputedStyle(author).unicodeBidi),
    )) {
      expect(unicodeBidi).toMatch(/isolate|plaintext/);
    }
    await expect(bob.page.locator('main img, main script')).toHaveCount(0);
  }
});

test('what an address says is never an element of the page', async ({ page, server, guard }) => {
  guard.expected.push(/status of 404/);
  guard.watch(page);
  const odd = encodeURIComponent('<script>alert(1)</script><img src=x onerror=alert(2)>');
  for (const path of [`/r/${odd}`, `/${odd}`, `/r/l%D0%BEbby`, `/?room=${odd}`]) {
    const answer = await page.goto(server.url + path);
    expect(answer?.status(), path).toBe(path.startsWith('/?') ? 200 : 404);
    // A page of no room has no program.
    if (path.startsWith('/?')) await expect(page.locator('body[data-hydrated="true"]')).toBeAttached();
    await expect(page.locator('main')).toBeVisible();
    await expect(page.locator('img')).toHaveCount(0);
    expect(await page.content(), path).not.toMatch(/alert\(/);
  }
});
