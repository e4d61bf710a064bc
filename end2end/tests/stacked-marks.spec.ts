// Texts and names with stacked combining marks: they stay within their row.

import type { Locator } from '@playwright/test';

import { expect, test } from '../fixtures/app';

/** A letter under a tower of marks, and above a pit of them. */
const STACKED = 'Z\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308'.concat(
  '\u030A\u030B\u030C\u030D\u030E\u030F\u0310\u0311'.repeat(8),
  '\u0316\u0317\u0318\u0319\u031C\u031D\u031E\u031F'.repeat(8),
);

/** Expects that the elements around look the same without the text: no mark reaches into them. */
async function expectWithin(text: Locator, around: Locator[]): Promise<void> {
  const look = () => Promise.all(around.map((place) => place.screenshot()));
  let before = await look();
  // New rows fade in: the comparison waits until the pictures are stable.
  await expect(async () => {
    const earlier = before;
    before = await look();
    before.forEach((image, index) => expect(image.equals(earlier[index]!)).toBe(true));
  }).toPass();
  await text.evaluate((element) => (element.style.visibility = 'hidden'));
  const after = await look();
  before.forEach((image, index) => {
    expect(image.equals(after[index]!), `what is around, ${index}`).toBe(true);
  });
}

test('marks stacked on a letter stay within their row', async ({ openPage }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  await bob.send('above');
  await ada.send(`x ${STACKED.repeat(6)}`);
  await bob.send('below');
  await bob.expectFate('below', 'durable');
  const row = bob.log.locator('li', { hasText: 'x Z' });
  await expect(row).toBeVisible();
  const around = [bob.message('above'), bob.message('below')];
  await expectWithin(row.locator('.body'), around);

  // A name with marks: above it are messages, beside it other names.
  await ada.name.fill(`N${STACKED.slice(1, 38)}`);
  await ada.name.press('Enter');
  await ada.send('by such a name');
  await bob.send('the end');
  await expect(bob.message('by such a name')).toBeVisible();
  await expectWithin(bob.message('by such a name').locator('.author'), [
    bob.message('below'),
    bob.message('the end'),
  ]);
  await expectWithin(bob.people.locator('.author').nth(1), [
    bob.people.getByRole('listitem').first(),
    bob.page.getByRole('heading', { name: 'Rooms' }),
  ]);

  // A draft stands above the input box and below the messages.
  await ada.input.fill(`d ${STACKED.repeat(6)}`);
  await expect(bob.typing.getByRole('listitem')).toBeVisible();
  await expectWithin(bob.typing.getByRole('listitem'), [bob.message('the end'), bob.input]);
});
