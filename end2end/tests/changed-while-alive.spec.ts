// A running page whose elements an extension changes.

import { expect, test } from '../fixtures/app';

// Changes by extensions to a running page. Each function is sent to the page as source text.
const CHANGES: Record<string, () => void> = {
  'no comments': () => {
    const walker = document.createTreeWalker(document, NodeFilter.SHOW_COMMENT);
    const comments: Comment[] = [];
    while (walker.nextNode()) comments.push(walker.currentNode as Comment);
    comments.forEach((comment) => comment.remove());
  },
  'a copy of the list': () => {
    const list = document.querySelector('[role=log]')!;
    list.innerHTML = String(list.innerHTML);
  },
  'a copy of the page': () => {
    const page = document.querySelector('#page')!;
    page.innerHTML = String(page.innerHTML);
  },
  'a copy of the body': () => {
    document.body.innerHTML = String(document.body.innerHTML);
  },
  'a copy of the state': () => {
    const connection = document.querySelector('.connection')!;
    connection.innerHTML = String(connection.innerHTML);
  },
  'no list': () => document.querySelector('[role=log]')!.remove(),
};

for (const [name, change] of Object.entries(CHANGES)) {
  test(`what comes is shown in a page with ${name}`, async ({ openPage, chaos, server, guard }) => {
    const ada = await openPage();
    const bob = await openPage('lobby', { via: server });
    await bob.send('before');
    await expect(ada.message('before')).toBeVisible();
    chaos.stall();
    await ada.send('mine');
    await ada.expectFate('mine', 'sent');
    await ada.input.fill('typed');
    await ada.page.evaluate(change);
    chaos.restore();
    await bob.send('after');
    await expect(ada.message('after')).toBeVisible();
    await ada.expectFate('mine', 'durable');
    await expect(ada.message('before')).toBeVisible();
    await expect(ada.input).toHaveValue('typed');
    await bob.input.fill('typing');
    await expect(ada.typing.locator('.body')).toHaveText('typing');
    await ada.expectState('live');
    await ada.input.press('Enter');
    await ada.expectFate('typed', 'durable');
    await expect(ada.alert).toHaveCount(0);
    await expect(ada.people.getByRole('listitem')).toHaveCount(2);
    expect(guard.problems).toEqual([]);
  });
}

test('what is taken away again and again is not drawn for ever', async ({ openPage, server }) => {
  const ada = await openPage();
  await ada.page.evaluate(() => {
    const hide = () => document.querySelectorAll('.message').forEach((row) => row.remove());
    new MutationObserver(hide).observe(document.body, { subtree: true, childList: true });
  });
  let connections = 0;
  ada.page.on('websocket', () => (connections += 1));
  const bob = await openPage('lobby', { via: server });
  await bob.sendAll(['one', 'two', 'three', 'four', 'five']);
  await expect(ada.alert).toContainText('changes this page');
  await ada.send('still alive');
  await expect(bob.message('still alive')).toBeVisible();
  expect(connections).toBeLessThanOrEqual(3);
});
