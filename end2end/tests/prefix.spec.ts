// A server under a path of its host.

import { expect, test } from '../fixtures/app';
import { Gateway } from '../fixtures/gateway';

test('under a path of its host the page says that it has to stand at the root', async ({ page, server }) => {
  const words = page.getByText('This page came without its style');
  await page.goto(server.url);
  await expect(page.locator('body[data-hydrated="true"]')).toBeAttached();
  await expect(words).toBeHidden();

  const gateway = await Gateway.start(server.port, '/chat');
  await page.goto(`${gateway.url}/chat/`);
  await expect(words).toBeVisible();
  await gateway.close();
});
