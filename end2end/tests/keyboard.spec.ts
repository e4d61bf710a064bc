// The page with the keyboard alone.

import { expect, test } from '../fixtures/app';

test('everything can be done with the keyboard', async ({ openPage }) => {
  const room = await openPage();
  const { keyboard } = room.page;
  const isFocused = (locator: typeof room.input) =>
    locator.evaluate((element) => element === document.activeElement);

  // Every focused element on the way to the input box is marked.
  for (let stops = 0; !(await isFocused(room.input)); stops += 1) {
    expect(stops).toBeLessThan(20);
    await keyboard.press('Tab');
    await expect(room.page.locator(':focus-visible')).toHaveCount(1);
    const isMarked = await room.page.locator(':focus-visible').evaluate((element) => {
      const { boxShadow, outlineStyle, outlineWidth } = getComputedStyle(element);
      return boxShadow !== 'none' || (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0);
    });
    expect(isMarked, 'the focus is marked').toBe(true);
  }
  await keyboard.type('no mouse');
  await keyboard.press('Enter');
  await room.expectFate('no mouse', 'durable');
  await expect(room.input).toBeFocused();
  await keyboard.type('at all');
  await keyboard.press('Tab');
  await expect(room.sendButton).toBeFocused();
  await keyboard.press('Enter');
  await room.expectFate('at all', 'durable');
  // After sending, the input box keeps the focus.
  await expect(room.input).toBeFocused();
});
