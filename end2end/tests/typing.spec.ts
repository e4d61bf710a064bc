// Drafts between two pages.

import { expect, test } from '../fixtures/app';
import type { RoomPage } from '../pages/room-page';

test('what one person types appears at once for the other', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  await ada.name.fill('Ada');
  await ada.type('Hello, B');
  await expect(bob.received).toHaveText('Hello, B');
  await expect(bob.typing.getByRole('listitem')).toHaveCount(1);
  await expect(bob.typing.locator('.author')).toHaveText('Ada');
  await expect(bob.typing.locator('.body')).toHaveText('Hello, B');

  await ada.type('ob!');
  await expect(bob.received).toHaveText('Hello, Bob!');
  await expect(bob.typing.locator('.body')).toHaveText('Hello, Bob!');
  // The author's page does not show the own draft, and no message was sent yet.
  await expect(ada.typing.getByRole('listitem')).toHaveCount(0);
  expect(await bob.bodies()).toEqual([]);

  await ada.input.press('Enter');
  await expect(bob.message('Hello, Bob!')).toBeVisible();
  await expect(bob.typing.getByRole('listitem')).toHaveCount(0);
  await expect(bob.received).toHaveText('Hello, Bob!');
});

test('a draft that is deleted disappears for the other', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  await ada.type('never mind');
  await expect(bob.typing.locator('.body')).toHaveText('never mind');
  await ada.input.clear();
  await expect(bob.typing.getByRole('listitem')).toHaveCount(0);
});

/** The bodies of the drafts that a page sent. */
const drafts = ({ wire }: RoomPage) => wire.since(0, 'draft').map(({ fields }) => fields.body);

test('what an input method composes is shown to others once it is text (PR-2)', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  const ime = await ada.page.context().newCDPSession(ada.page);
  await ada.input.focus();
  await ada.type('好');
  await expect(bob.typing.locator('.body')).toHaveText('好');
  for (const text of ['n', 'ni', 'ni h', 'ni hao']) {
    const { length } = text;
    await ime.send('Input.imeSetComposition', { text, selectionStart: length, selectionEnd: length });
    await expect(ada.input).toHaveValue(`好${text}`);
  }
  await ime.send('Input.insertText', { text: '你好' });
  await expect(bob.typing.locator('.body')).toHaveText('好你好');
  expect(drafts(ada)).toEqual(['好', '好你好']);

  // A composition that is given up leaves the text before it.
  await ime.send('Input.imeSetComposition', { text: 'ma', selectionStart: 2, selectionEnd: 2 });
  await ada.input.blur();
  await expect(bob.typing.locator('.body')).toHaveText('好你好ma');
  await ada.input.press('Enter');
  await ada.expectFate('好你好ma', 'durable');
});

test('of many who type some are shown and the others counted', async ({ openPage }) => {
  const reader = await openPage();
  const more = reader.page.locator('.typing .more');
  const typists = [];
  for (const text of ['one', 'two', 'three', 'four', 'five']) {
    const typist = await openPage();
    await typist.input.fill(text);
    await expect(reader.received).toHaveText(text);
    typists.push(typist);
  }
  await expect(reader.typing.locator('.body')).toHaveText(['one', 'two', 'three']);
  await expect(more).toHaveText('+2 typing');
  await typists[1]!.input.clear();
  await expect(reader.typing.locator('.body')).toHaveText(['one', 'three', 'four']);
  await expect(more).toHaveText('+1 typing');
  await typists[0]!.send('one');
  await expect(more).toBeHidden();
});

test('a draft is sent again after a reconnect', async ({ openPage, chaos, server }) => {
  const ada = await openPage();
  const bob = await openPage('lobby', { via: server });
  await ada.type('half a ');
  await expect(bob.received).toHaveText('half a ');
  chaos.blockWebSockets();
  await ada.expectState(/waiting|connecting/);
  await expect(bob.typing.getByRole('listitem')).toHaveCount(0);
  chaos.allowWebSockets();
  await expect(bob.typing.locator('.body')).toHaveText('half a ');

  chaos.blockWebSockets();
  await ada.expectState(/waiting|connecting/);
  await ada.type('sentence');
  chaos.allowWebSockets();
  await expect(bob.typing.locator('.body')).toHaveText('half a sentence');
});
