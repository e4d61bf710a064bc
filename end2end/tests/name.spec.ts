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
