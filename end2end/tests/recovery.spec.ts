// A server that lost its log: gaps, and uncertain messages (RS-9).

import { expect, test } from '../fixtures/app';

test('messages that are gone for good are shown as missed', async ({ openPage, server }) => {
  const [ada, bob] = [await openPage(), await openPage()];
  await ada.send('of the old days');
  await bob.expectFate('of the old days', 'durable');
  await server.kill();
  await server.wipe();
  await server.start();
  await Promise.all([ada.hurry(), bob.hurry()]);
  await expect(bob.log.locator('.gap')).toHaveText('Some messages could not be recovered');
  await ada.send('of the new days');
  await expect(bob.message('of the new days')).toBeVisible();
});

test('a message that may be lost or not is for a person to decide', async ({
  openPage,
  chaos,
  server,
}) => {
  const ada = await openPage();
  chaos.stall();
  await ada.sendAll(['send me again', 'drop me']);
  await ada.expectFate('drop me', 'sent');
  await server.kill();
  await server.wipe();
  await server.start();
  chaos.cut();
  chaos.restore();

  await ada.expectFate('send me again', 'uncertain');
  await ada.expectFate('drop me', 'uncertain');
  await ada.message('drop me').getByRole('button', { name: 'Drop' }).click();
  await expect(ada.message('drop me')).toHaveCount(0);
  await ada.message('send me again').getByRole('button', { name: 'Send again' }).click();
  await ada.expectFate('send me again', 'durable');
  const bob = await openPage();
  await expect.poll(() => bob.bodies()).toEqual(['send me again']);
  // A dropped message does not return.
  await ada.page.reload();
  await ada.expectHydrated();
  await ada.expectState('live');
  expect(await ada.bodies()).toEqual(['send me again']);
});
