// Texts in the input box over reloads (EO-4).

import { expect, test } from '../fixtures/app';

test('what stands in the input box survives a reload and leaving the page, by room', async ({
  openPage,
  server,
}) => {
  const ada = await openPage('lobby', { via: server });
  const bob = await openPage('lobby', { via: server });
  await ada.input.fill('half a sentence');
  await ada.goToRoom('tea');
  await expect(ada.input).toHaveValue('');
  await ada.input.fill('two lines\nfor tea');

  await ada.page.reload();
  await ada.expectHydrated();
  await expect(ada.input).toHaveValue('two lines\nfor tea');
  await ada.page.goBack();
  await expect(ada.page).toHaveURL(`${server.url}/`);
  await expect(ada.input).toHaveValue('half a sentence');
  await expect(bob.typing.locator('.body')).toHaveText('half a sentence');

  await ada.page.goto(`${server.url}/healthz`);
  await ada.page.goBack();
  await ada.expectHydrated();
  await expect(ada.input).toHaveValue('half a sentence');
  await ada.expectState('live');
  await ada.input.press('Enter');
  await ada.expectFate('half a sentence', 'durable');
  await ada.page.reload();
  await ada.expectHydrated();
  await ada.expectState('live');
  await expect(ada.input).toHaveValue('');
  await ada.goToRoom('tea');
  await expect(ada.input).toHaveValue('two lines\nfor tea');
});

test.describe('where only short texts are taken', () => {
  test.use({ serverArgs: ['--body-bytes', '20'] });

  test('a text refused for good survives a reload and goes back into the box', async ({
    openPage,
    chaos,
  }) => {
    chaos.blockWebSockets();
    const ada = await openPage('lobby', { state: /waiting|connecting/ });
    const texts = ['this one is longer than the server takes', 'and this one is too long as well'];
    await ada.sendAll(texts);
    chaos.allowWebSockets();
    await ada.hurry();
    for (const text of texts) await ada.expectFate(text, 'refused');

    await ada.page.reload();
    await ada.expectHydrated();
    await ada.expectState('live');
    for (const text of texts) await ada.expectFate(text, 'refused');
    await ada.input.fill('typed since');
    await ada.message(texts[0]!).getByRole('button', { name: 'Edit again' }).click();
    await expect(ada.input).toHaveValue(`${texts[0]}\ntyped since`);
    await expect(ada.input).toBeFocused();
    await expect(ada.message(texts[0]!)).toHaveCount(0);
    await ada.message(texts[1]!).getByRole('button', { name: 'Dismiss' }).click();
    await expect(ada.message(texts[1]!)).toHaveCount(0);

    await ada.page.reload();
    await ada.expectHydrated();
    await ada.expectState('live');
    await expect(ada.input).toHaveValue(`${texts[0]}\ntyped since`);
    expect(await ada.bodies()).toEqual([]);
    await ada.send('short');
    await ada.expectFate('short', 'durable');
  });
});
