// The operator's pages.

import AxeBuilder from '@axe-core/playwright';
import type { Browser, BrowserContextOptions, Page } from '@playwright/test';

import { expect, test } from '../fixtures/app';

/** What axe finds on a page. */
const violations = async (page: Page) => {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(', ')}`);
};

/** The operator's page, and what goes wrong on it. */
const openStatus = async (browser: Browser, url: string, options: BrowserContextOptions = {}) => {
  const context = await browser.newContext(options);
  const status = await context.newPage();
  const problems: string[] = [];
  status.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  status.on('pageerror', (error) => problems.push(error.message));
  await status.goto(url);
  return { status, problems, context };
};

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

    const { status, problems, context } = await openStatus(browser, `${server.adminUrl}/status`, { colorScheme });
    const health = status.getByRole('region', { name: 'Health' });
    await expect(health).toContainText('Ready');
    await expect(health.locator('dl div').first()).toHaveText(/connected sessions\s*2/);
    const row = status.getByRole('row', { name: /\bAda\b/ });
    await expect(row).toContainText('live');
    await expect(row).toContainText('kitchen');
    await expect(status.getByRole('img')).toHaveCount(6);
    const rooms = status.getByRole('region', { name: 'Rooms' });
    await expect(rooms.getByRole('row').filter({ hasText: 'kitchen' })).toContainText('2');
    expect(await violations(status)).toEqual([]);

    // The page changes by itself.
    await openPage('attic');
    await expect(status.locator('#connections').getByRole('row').filter({ hasText: 'attic' })).toBeVisible();
    await expect(status.getByText(/as of [0-3] s ago/)).toBeVisible();
    await expect(status.getByText('Without its script')).toBeHidden();

    await row.getByRole('link').click();
    await expect(status.getByRole('heading', { name: /^Session / })).toBeVisible();
    expect(await violations(status)).toEqual([]);
    // The meaning is read before the button can be pressed; by keyboard.
    const remove = status.getByText('Remove…');
    await expect(status.getByRole('button', { name: 'Yes, remove it' })).toBeHidden();
    await remove.focus();
    await remove.press('Enter');
    await expect(status.getByText('this is no ban')).toBeVisible();
    // An update leaves it folded out.
    const uptime = status.locator('#strip').getByText(/^\d+ s$/);
    const before = await uptime.textContent();
    await expect(uptime).not.toHaveText(before ?? '');
    await expect(remove).toBeFocused();
    await status.getByRole('button', { name: 'Yes, remove it' }).click();
    await expect(ada.why).toContainText('An operator ended this session.');
    await expect(status.getByText('This session has no connection here.')).toBeVisible();
    await expect(status.getByRole('list')).toContainText('removed by an operator (4203)');
    await expect(bob.connection).not.toContainText('operator');
    await ada.tryNow.click();
    await ada.expectState('live');
    await expect(status.getByText('Reconnect…')).toBeVisible();
    expect(problems).toEqual([]);
    await context.close();
  });
}

test('a session that an operator lets reconnect comes back by itself', async ({ browser, openPage, server }) => {
  const ada = await openPage('kitchen');
  const { status, problems, context } = await openStatus(browser, `${server.adminUrl}/status`);
  await status.locator('#connections').getByRole('row').filter({ hasText: 'kitchen' }).getByRole('link').click();
  await status.getByText('Reconnect…').click();
  await status.getByRole('button', { name: 'Yes, reconnect it' }).click();
  await expect(status.getByRole('list')).toContainText('session resumed (server had closed)');
  await ada.expectState('live');
  expect(problems).toEqual([]);
  await context.close();
});

test('updates keep focus, what is typed and the scroll position', async ({ browser, openPage, server }) => {
  for (const room of ['attic', 'cellar', 'garden']) await openPage(room);
  const viewport = { width: 480, height: 400 };
  const { status, problems, context } = await openStatus(browser, `${server.adminUrl}/status`, { viewport });
  const find = status.getByRole('textbox');
  await find.fill('att');
  await find.evaluate((input: HTMLInputElement) => input.setSelectionRange(1, 2));
  const table = status.getByRole('region', { name: 'Connections' });
  await table.evaluate((element) => (element.scrollLeft = 40));
  await openPage('kitchen');
  await expect(status.locator('#connections').getByText('kitchen')).toBeAttached();
  await expect(find).toBeFocused();
  await expect(find).toHaveValue('att');
  expect(await find.evaluate((input: HTMLInputElement) => [input.selectionStart, input.selectionEnd])).toEqual([1, 2]);
  expect(await table.evaluate((element) => element.scrollLeft)).toBe(40);

  // Where the row that has focus goes, focus stays in its table.
  await find.press('Enter');
  const links = status.locator('#connections tbody').getByRole('link');
  await expect(links).toHaveCount(1);
  await links.focus();
  await links.press('Enter');
  await status.getByText('Remove…').click();
  await status.getByRole('button', { name: 'Yes, remove it' }).focus();
  await status.getByRole('button', { name: 'Yes, remove it' }).click();
  await expect(status.getByText('This session has no connection here.')).toBeVisible();
  expect(problems).toEqual([]);
  await context.close();
});

test('connections are found, sorted and paged', async ({ browser, openPage, server }) => {
  const ada = await openPage('kitchen');
  await ada.name.fill('Zoe');
  await ada.name.press('Enter');
  await openPage('attic');
  const { status, problems, context } = await openStatus(browser, `${server.adminUrl}/status`);
  const rows = status.locator('#connections tbody tr');
  await expect(rows).toHaveCount(2);
  await expect(rows.first()).toContainText('attic');
  await status.getByRole('columnheader', { name: 'name' }).getByRole('link').click();
  await expect(status.getByRole('columnheader', { name: 'name' })).toHaveAttribute('aria-sort', 'ascending');
  await status.getByRole('columnheader', { name: 'name' }).getByRole('link').click();
  await expect(rows.first()).toContainText('guest');
  await status.getByRole('textbox').fill('zoe');
  await status.getByRole('button', { name: 'Find' }).click();
  await expect(rows).toHaveCount(1);
  await expect(status.getByText('1 of 2 connections match.')).toBeVisible();
  await status.getByRole('link', { name: 'All', exact: true }).click();
  await expect(rows).toHaveCount(2);
  expect(problems).toEqual([]);
  await context.close();
});

test('a page says how old it is, and when the server has fallen silent', async ({ browser, server }) => {
  const { status, context } = await openStatus(browser, `${server.adminUrl}/status`);
  await expect(status.getByText(/as of \d s ago/)).toBeVisible();
  await status.getByRole('button', { name: 'Pause' }).click();
  await expect(status.getByText(/^paused, [3-9] s ago/)).toBeVisible();
  await expect(status.locator('#stale')).toBeEmpty();
  await status.getByRole('button', { name: 'Pause' }).click();
  await expect(status.getByText(/as of [01] s ago/)).toBeVisible();
  // A stopped process keeps its sockets: without an age the page would look as ever.
  server.stop();
  await expect(status.getByText('The server has sent nothing for 10 s')).toBeVisible();
  await expect(status.locator('#freshness')).toHaveClass('bad');
  server.resume();
  await expect(status.getByText('The server reports again.')).toBeVisible();
  await expect(status.locator('#freshness')).not.toHaveClass('bad');
  await context.close();
});

test.describe('without scripts', () => {
  test('the pages say and do the same', async ({ browser, openPage, server }) => {
    const ada = await openPage('kitchen');
    const off = { javaScriptEnabled: false };
    const { status, context } = await openStatus(browser, `${server.adminUrl}/status?span=hour`, off);
    await expect(status.getByText('Without its script this page does not change by itself')).toBeVisible();
    await expect(status.getByText(/as of \d{4}-/)).toBeVisible();
    await expect(status.getByRole('button', { name: 'Pause' })).toBeHidden();
    await status.locator('#connections').getByRole('row').filter({ hasText: 'kitchen' }).getByRole('link').click();
    await status.getByText('Reconnect…').click();
    await status.getByRole('button', { name: 'Yes, reconnect it' }).click();
    await expect(status.getByRole('heading', { name: /^Session / })).toBeVisible();
    await ada.expectState('live');
    await context.close();
  });
});

for (const [locale, heading, lang] of [
  ['zh-TW', '連線', 'zh-Hant'],
  ['zh-CN', '连接', 'zh-Hans'],
] as const) {
  test(`the pages speak ${lang}, and fit on a phone`, async ({ browser, openPage, server }) => {
    await openPage('kitchen');
    const viewport = { width: 320, height: 640 };
    const { status, problems, context } = await openStatus(browser, `${server.adminUrl}/status`, { locale, viewport });
    await expect(status.locator('html')).toHaveAttribute('lang', lang);
    await expect(status.getByRole('heading', { name: heading, exact: true })).toBeVisible();
    expect(await violations(status)).toEqual([]);
    const width = await status.evaluate(() => document.documentElement.scrollWidth);
    expect(width).toBeLessThanOrEqual(320);
    await status.getByRole('link', { name: 'English' }).click();
    await expect(status.getByRole('heading', { name: 'Connections', exact: true })).toBeVisible();
    await status.goto(`${server.adminUrl}/status`);
    await expect(status.getByRole('heading', { name: 'Connections', exact: true })).toBeVisible();
    expect(problems).toEqual([]);
    await context.close();
  });
}
