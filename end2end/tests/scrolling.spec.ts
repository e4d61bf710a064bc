// The scroll position of the message list.

import type { Locator } from '@playwright/test';

import { expect, test } from '../fixtures/app';
import { numbered } from '../pages/room-page';

test('a reader of older messages keeps their place', async ({ openPage }) => {
  const ada = await openPage();
  await ada.sendAll(numbered('message', 120));
  await ada.expectFate('message 120', 'durable');
  const bob = await openPage();
  const scroller = bob.page.locator('.scroller');
  const unseen = bob.page.getByRole('button', { name: 'New messages' });
  await expect(bob.message('message 120')).toBeInViewport();

  // Older messages are added in front; the rows on the screen stay where they are.
  for (const oldest of [71, 21]) {
    await bob.older.scrollIntoViewIfNeeded();
    const first = bob.message(`message ${oldest}`);
    await expect(first).toBeInViewport();
    const before = await top(first);
    await bob.older.click();
    await expect(bob.message(`message ${Math.max(1, oldest - 50)}`)).toBeAttached();
    await expect.poll(() => top(first)).toBe(before);
  }

  // The same when new messages are added below, and in a part of the list whose height was never measured.
  const read = bob.message('message 10');
  await read.evaluate((row) => row.scrollIntoView({ block: 'center' }));
  const before = await top(read);
  await ada.sendAll(['one', 'two', 'three']);
  await expect(bob.message('three')).toBeAttached();
  await expect(unseen).toBeVisible();
  expect(await top(read)).toBe(before);

  await unseen.click();
  await expect(bob.message('three')).toBeInViewport();
  await expect(unseen).toBeHidden();
  await ada.send('followed');
  await expect(bob.message('followed')).toBeInViewport();
  expect(await scroller.evaluate(({ scrollTop }) => scrollTop)).toBe(0);
});

/** The row's top on the screen, in whole pixels. */
async function top(row: Locator): Promise<number> {
  return row.evaluate((row) => Math.round(row.getBoundingClientRect().top));
}
