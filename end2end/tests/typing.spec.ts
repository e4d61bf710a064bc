// Drafts between two pages.

import { expect, test } from '../fixtures/app';

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
