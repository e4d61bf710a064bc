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

  // What the server renders is as harmless as what the browser does.
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
  // HTML cannot carry NUL: it may be dropped or replaced, but nothing around it.
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
