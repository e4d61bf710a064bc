// The user's name, over two tabs.

import { expect, test } from '../fixtures/app';

test('a name is shown to the others and kept', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  await ada.name.fill('Ada');
  await ada.name.press('Enter');
  await expect(bob.people.getByText('Ada')).toBeVisible();
  await ada.send('hello');
  await expect(bob.message('hello').locator('.author')).toHaveText('Ada');

  await ada.page.reload();
  await ada.expectHydrated();
  await ada.expectState('live');
  await expect(ada.name).toHaveValue('Ada');
  await expect(bob.people.getByText('Ada')).toBeVisible();
  await expect(ada.people.getByRole('listitem').filter({ hasText: 'Ada' })).toContainText('(you)');
});

test('a field with the focus keeps what is typed', async ({ browser, openPage }) => {
  const context = await browser.newContext();
  const [ada, other] = [
    await openPage('lobby', { context }),
    await openPage('lobby', { context }),
  ];
  /** Expects this name for both tabs, which are one person (PR-4). */
  const expectName = (name: string) => expect(other.people.locator('.author')).toHaveText([name]);
  await ada.name.focus();
  await ada.name.pressSequentially('Bob');
  await expectName('Bob');
  await other.name.fill('Zoe');
  await other.name.press('Enter');
  await expectName('Zoe');
  await expect(ada.name).toHaveValue('Bob');
  await ada.name.pressSequentially(' The Builder');
  await expect(ada.name).toHaveValue('Bob The Builder');
  await ada.name.press('Tab');
  await expectName('Bob The Builder');
  for (const page of [ada, other]) await expect(page.name).toHaveValue('Bob The Builder');
  // A focused field keeps its text, also before anything is typed; at blur it shows the newer name.
  await ada.name.focus();
  await other.name.fill('Eve');
  await other.name.press('Enter');
  await expectName('Eve');
  await expect(ada.name).toHaveValue('Bob The Builder');
  await ada.name.blur();
  await expect(ada.name).toHaveValue('Eve');
  await context.close();
});

test('several tabs of one user are one person, who is away once none is connected', async ({ browser, openPage }) => {
  const context = await browser.newContext();
  const [ada, tab] = [await openPage('lobby', { context }), await openPage('lobby', { context })];
  await ada.name.fill('Ada');
  await ada.name.press('Enter');
  const bob = await openPage('lobby');
  await bob.name.fill('Ada');
  await bob.name.press('Enter');
  // A guest who calls herself so, too, is another person.
  for (const page of [ada, tab, bob]) {
    await expect(page.people.locator('.author')).toHaveText(['Ada', 'Ada']);
    await expect(page.people.getByText('(you)')).toHaveCount(1);
  }
  await tab.page.close();
  await ada.send('still here');
  await bob.message('still here').waitFor();
  await expect(bob.people.getByText('(away)')).toHaveCount(0);
  await ada.page.close();
  await expect(bob.people.getByText('(away)')).toHaveCount(1, { timeout: 15_000 });
  await context.close();
});
