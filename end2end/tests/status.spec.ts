// The operator's status page.

import AxeBuilder from '@axe-core/playwright';

import { expect, test } from '../fixtures/app';

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the operator sees who is connected, and ends a connection (${colorScheme})`, async ({
    browser,
    openPage,
    server,
  }) => {
    const ada = await openPage('kitchen');
    await ada.name.fill('Ada');
    await ada.name.press('Enter');
    const bob = await openPage('kitchen');
    await expect(bob.people).toContainText('Ada');

    const context = await browser.newContext({ colorScheme });
    const status = await context.newPage();
    const problems: string[] = [];
    status.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    await status.goto(`${server.adminUrl}/status`);
    await expect(status.locator('dl div').first()).toHaveText(/connected sessions\s*2/);
    const row = status.getByRole('row').filter({ hasText: 'Ada' });
    await expect(row).toContainText('live');
    await expect(row).toContainText('kitchen');
    const { violations } = await new AxeBuilder({ page: status }).analyze();
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(', ')}`)).toEqual([]);

    // The status page refreshes itself.
    await openPage('attic');
    await expect(status.getByRole('row').filter({ hasText: 'attic' })).toBeVisible({ timeout: 10_000 });

    status.once('dialog', (dialog) => void dialog.accept());
    await row.getByRole('button').click();
    await expect(ada.why).toContainText('An operator ended this session.');
    await expect(row).toBeHidden();
    await expect(bob.connection).not.toContainText('operator');
    await ada.tryNow.click();
    await ada.expectState('live');
    expect(problems).toEqual([]);
    await context.close();
  });
}
