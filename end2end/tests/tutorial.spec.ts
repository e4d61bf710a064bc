// The tutorial's page and ours in one room.

import { expect, test } from '../fixtures/app';
import { serveTutorial } from '../fixtures/tutorial';

test("the tutorial's page and ours see each other type", async ({
  context,
  guard,
  openPage,
  server,
}) => {
  const ours = await openPage();
  const page = await context.newPage();
  guard.watch(page);
  let heartbeats = 0;
  page.on('websocket', (socket) => {
    socket.on('framesent', ({ payload }) => (heartbeats += Number(payload === 'heartbeat')));
  });
  const tutorial = await serveTutorial(`ws://127.0.0.1:${server.port}`);
  await page.goto(tutorial.url);
  await expect(page).toHaveTitle('Connected');
  const text = page.getByRole('textbox', { name: 'Text' });
  const received = page.getByRole('status', { name: 'Received' });

  await text.pressSequentially('from the tutorial');
  await expect(ours.received).toHaveText('from the tutorial');
  await expect(ours.typing.locator('.body')).toHaveText('from the tutorial');
  // The tutorial's page gets its own text back, as from the tutorial's server.
  await expect(received).toHaveText('from the tutorial');

  await ours.type('from our page');
  await expect(received).toHaveText('from our page');
  await ours.input.fill('a message');
  await ours.input.press('Enter');
  await expect(received).toHaveText('a message');

  await expect.poll(() => heartbeats).toBeGreaterThan(3);
  await expect(received).toHaveText('a message');
  await expect(ours.received).not.toHaveText('heartbeat');
  await expect(page).toHaveTitle('Connected');
  tutorial.close();
});
