// The start of the program: on changed and slow pages, with faults, without WebAssembly.

import type { Page } from '@playwright/test';

import { expect, test } from '../fixtures/app';
import type { Server } from '../fixtures/server';
import { Wire } from '../fixtures/wire';
import { RoomPage } from '../pages/room-page';

/** Publishes over HTTP, without a page. */
async function post(server: Server, room: string, body: string, key = body): Promise<void> {
  const answer = await fetch(`${server.url}/api/rooms/${room}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': encodeURIComponent(key) },
    body: JSON.stringify({ body }),
  });
  expect(answer.status).toBe(201);
}

/** Opens a room's page without waiting for its program. */
async function visit(page: Page, server: Server, room = 'lobby'): Promise<RoomPage> {
  // The page may reload itself before it has loaded.
  await page.goto(`${server.url}${room === 'lobby' ? '/' : `/r/${room}`}`, { waitUntil: 'commit' });
  return new RoomPage(page, new Wire(page));
}

/** Counts the loads of the page's document from now on. */
function countLoads(page: Page): { loads: number } {
  const count = { loads: 0 };
  page.on('request', (request) => {
    if (request.isNavigationRequest() && request.method() === 'GET') count.loads += 1;
  });
  return count;
}

test('a message that HTML cannot hold leaves every page alive', async ({ openPage, server }) => {
  const texts = ['\u0000', 'a\u0000b', '\rone', '\n\ntwo\r\nthree', `${'x'.repeat(8000)}\u0000`];
  for (const text of texts) await post(server, 'odd', text, String(texts.indexOf(text)));
  const room = await openPage('odd');
  const shown = texts.map((text) => text.replaceAll('\u0000', '\uFFFD'));
  expect(await room.bodies()).toEqual(shown);
  await room.send('alive');
  await room.expectFate('alive', 'durable');
});

// Changes by extensions, telephones and translators to a page before its script runs. Each function is
// sent to the page as source text.
const CHANGES: Record<string, () => void> = {
  'an element first in the body': () => document.body.prepend(document.createElement('aside')),
  'an element last in the body': () => document.body.append(document.createElement('aside')),
  'an element before the input box': () =>
    document.querySelector('#message')!.before(document.createElement('grammar-check')),
  'the input box inside another element': () => {
    const box = document.querySelector('#message')!;
    const around = document.createElement('grammar-check');
    box.replaceWith(around);
    around.append(box);
  },
  'the input box replaced by another one': () => {
    const box = document.querySelector<HTMLTextAreaElement>('#message')!;
    box.replaceWith(document.createElement('textarea'));
  },
  'elements in lists': () => {
    for (const list of document.querySelectorAll('ol, ul')) {
      list.prepend(document.createElement('li'));
      list.append(document.createElement('div'));
    }
  },
  'digits that are links': () => {
    for (const body of document.querySelectorAll('.body')) {
      body.innerHTML = body.innerHTML.replace(/\d{5,}/, '<a href="tel:$&">$&</a>');
    }
  },
  'every text in <font>': () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts: Text[] = [];
    while (walker.nextNode()) texts.push(walker.currentNode as Text);
    for (const text of texts) {
      const outer = document.createElement('font');
      const inner = outer.appendChild(document.createElement('font'));
      text.replaceWith(outer);
      inner.append(text.data);
    }
  },
  'no comments': () => {
    const walker = document.createTreeWalker(document, NodeFilter.SHOW_COMMENT);
    const comments: Comment[] = [];
    while (walker.nextNode()) comments.push(walker.currentNode as Comment);
    comments.forEach((comment) => comment.remove());
  },
  'texts split in two': () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode as Text;
      if (text.length > 1) text.splitText(1);
    }
  },
  'texts merged, and white space between all elements': () => {
    document.body.normalize();
    for (const element of document.body.querySelectorAll('*')) element.before('\n  ');
  },
  'other attributes': () => {
    document.documentElement.lang = 'xx';
    for (const element of document.body.querySelectorAll('*')) {
      element.setAttribute('data-darkreader-inline-bgcolor', '');
      element.classList.add('translated-ltr');
      element.removeAttribute('dir');
    }
  },
  'elements removed': () => {
    for (const gone of document.querySelectorAll('header, .typing, aside, h1')) gone.remove();
  },
  'everything inside a table': () => {
    const table = document.createElement('table');
    table.insertRow().insertCell().append(...document.querySelector('#page')!.childNodes);
    document.querySelector('#page')!.append(table);
  },
  'the page removed': () => document.querySelector('#page')!.remove(),
  'the body emptied': () => document.body.replaceChildren(),
  'the data of the page changed': () => {
    for (const data of document.querySelectorAll('script[type]')) data.textContent = '{"messages":[}';
  },
};

for (const [name, change] of Object.entries(CHANGES)) {
  test(`the page comes alive with ${name}`, async ({ openPage, browser, server, guard }) => {
    await post(server, 'lobby', 'call 1800555019 now');
    const context = await browser.newContext();
    await context.addInitScript(`document.addEventListener('DOMContentLoaded', ${change});`);
    const loads: string[] = [];
    context.on('request', (request) => request.isNavigationRequest() && loads.push(request.url()));
    const ada = await openPage('lobby', { context });
    const bob = await openPage();
    await expect(ada.message('call 1800555019 now')).toBeVisible();
    await ada.name.fill('Ada');
    await ada.send('still here');
    await ada.expectFate('still here', 'durable');
    await expect(bob.message('still here').locator('.author')).toHaveText('Ada');
    await bob.type('so am I');
    await expect(ada.typing.locator('.body')).toHaveText('so am I');
    expect(loads, 'it is loaded once').toHaveLength(1);
    expect(guard.problems).toEqual([]);
    await context.close();
  });
}

test('what is translated while it is alive goes on changing', async ({ openPage, chaos, server }) => {
  const ada = await openPage();
  const bob = await openPage('lobby', { via: server });
  await bob.type('before');
  await expect(ada.typing.locator('.body')).toHaveText('before');
  chaos.stall();
  await ada.send('on its way');
  await ada.expectFate('on its way', 'sent');
  await ada.page.evaluate(CHANGES['every text in <font>']!);
  chaos.restore();
  const entry = ada.log.locator('li', { hasText: 'on its way' });
  await expect(entry.locator('.fate')).toHaveText('durable');
  await bob.input.fill('after');
  await expect(ada.typing.locator('.body')).toHaveText('after');
  await expect(ada.received).toHaveText('after');
  await bob.name.fill('Bob');
  await expect(ada.typing.locator('.author')).toHaveText('Bob');
  await expect(ada.people.getByText('Bob', { exact: true })).toBeVisible();
  await bob.input.press('Enter');
  await expect(ada.message('after')).toBeVisible();
  await expect(ada.typing.locator('.body')).toHaveCount(0);
  await ada.goToRoom('elsewhere');
  await expect(ada.page.getByRole('heading', { level: 1 })).toHaveText('elsewhere');
  await ada.page.evaluate(CHANGES['every text in <font>']!);
  chaos.blockWebSockets();
  await expect(ada.connection).toContainText(/Reconnecting|Connecting/);
  await expect(ada.connection).not.toContainText('Live');
  chaos.allowWebSockets();
  await expect(ada.connection).toContainText('Live');
  await expect(ada.connection).not.toContainText('Reconnecting');
});

test('names and figures are not translated, what people write may be', async ({ openPage }) => {
  const room = await openPage();
  await room.send('hello');
  await room.expectFate('hello', 'durable');
  for (const own of ['h1', '.rtt', '.countdown', '.message .author', '.people .author', 'time']) {
    await expect(room.page.locator(own).first()).toHaveAttribute('translate', 'no');
  }
  await expect(room.message('hello').locator('.body')).not.toHaveAttribute('translate', 'no');
});

test('a slow page is not a dead one, and keeps what is typed meanwhile', async ({
  openPage,
  page,
  server,
  guard,
}) => {
  const bob = await openPage();
  guard.watch(page);
  const count = countLoads(page);
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/*.wasm', async (route) => {
    await held;
    await route.continue();
  });
  const ada = await visit(page, server);
  await ada.name.fill('Ada');
  await ada.input.fill('written before');
  await ada.input.evaluate((box: HTMLTextAreaElement) => box.setSelectionRange(3, 7));
  // Longer than a page with all of its program takes to start.
  await page.waitForTimeout(3_000);
  await expect(ada.alert).toHaveCount(0);
  release();
  await ada.expectState('live');
  await expect(ada.input).toHaveValue('written before');
  await expect(ada.input).toBeFocused();
  const selection = await ada.input.evaluate((box: HTMLTextAreaElement) => [
    box.selectionStart,
    box.selectionEnd,
  ]);
  expect(selection).toEqual([3, 7]);
  await expect(ada.name).toHaveValue('Ada');
  await expect(bob.typing.locator('.body')).toHaveText('written before');
  await expect(bob.typing.locator('.author')).toHaveText('Ada');
  expect(count.loads).toBe(1);
});

test('without WebAssembly the page says so, and a plain form sends', async ({
  openPage,
  page,
  server,
}) => {
  const bob = await openPage('tea');
  await bob.send('before');
  const count = countLoads(page);
  await page.addInitScript(() => Reflect.deleteProperty(window, 'WebAssembly'));
  const ada = await visit(page, server, 'tea');
  await expect(ada.alert).toContainText('WebAssembly');
  expect(count.loads, 'it loads itself again once').toBe(2);
  await expect(ada.message('before')).toBeVisible();
  await ada.name.fill('Ada');
  await ada.input.fill('by the form\nin two lines');
  await ada.sendButton.click();
  await expect(bob.message('by the form\nin two lines').locator('.author')).toHaveText('Ada');
  await expect(ada.log.locator('.body')).toHaveText(['before', 'by the form\nin two lines']);
  await expect(ada.alert).toContainText('WebAssembly');
  await expect(ada.input).toHaveValue('');
  await bob.send('after');
  await ada.page.getByRole('link', { name: 'Load it again' }).click();
  await expect(ada.message('after')).toBeVisible();
});

test('a page whose script is gone loads itself again once, with what was typed', async ({
  page,
  server,
}) => {
  const count = countLoads(page);
  let isGone = true;
  let asked = 0;
  await page.route('**/pkg/*.js', async (route) => {
    asked += 1;
    // Time for the user to type.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await (isGone ? route.fulfill({ status: 404 }) : route.continue());
  });
  const ada = await visit(page, server);
  await ada.input.fill('typed before');
  await expect.poll(() => count.loads).toBe(2);
  isGone = false;
  await ada.expectState('live');
  await expect(ada.input).toHaveValue('typed before');
  await expect(ada.alert).toHaveCount(0);

  isGone = true;
  await page.reload();
  await expect(ada.alert).toContainText('could not be loaded');
  // Now the page stays: it must not reload itself for ever.
  const before = asked;
  await page.waitForTimeout(3_000);
  expect([count.loads, asked]).toEqual([3, before]);
  await ada.input.fill('by the form');
  await ada.sendButton.click();
  await expect(ada.message('by the form')).toBeVisible();
});

test('a program that is no program is said', async ({ page, server }) => {
  const count = countLoads(page);
  await page.route('**/*.wasm', (route) => route.fulfill({ contentType: 'application/wasm', body: 'no' }));
  const ada = await visit(page, server);
  await expect(ada.alert).toContainText('could not be loaded');
  expect(count.loads).toBe(2);
  await expect(ada.input).toBeEnabled();
});

test('a page that fails at first is rendered anew in a fresh instance', async ({ page, server }) => {
  const count = countLoads(page);
  await page.addInitScript(() => {
    const create = document.createElement.bind(document);
    let isFirst = true;
    document.createElement = ((name: string) => {
      if (isFirst && name === 'textarea') {
        isFirst = false;
        throw new Error('not this time');
      }
      return create(name);
    }) as typeof document.createElement;
  });
  const ada = await visit(page, server);
  await ada.expectState('live');
  await ada.send('one of us');
  await ada.expectFate('one of us', 'durable');
  await expect(ada.people.getByRole('listitem')).toHaveText([/\(you\)/]);
  const held = await page.evaluate(() => navigator.locks.query());
  expect(held.held, 'the first instance holds nothing').toHaveLength(1);
  expect(count.loads).toBe(1);
});

test('a fault in the page is said, and a plain form sends', async ({ page, server }) => {
  const count = countLoads(page);
  await page.addInitScript(() => {
    const create = document.createElement.bind(document);
    document.createElement = ((name: string) => {
      if (name === 'textarea') throw new Error('never');
      return create(name);
    }) as typeof document.createElement;
  });
  const ada = await visit(page, server);
  await expect(ada.alert).toContainText('fault');
  expect(count.loads).toBe(2);
  expect((await page.evaluate(() => navigator.locks.query())).held).toEqual([]);
  await ada.input.fill('all the same');
  await ada.sendButton.click();
  await expect(ada.message('all the same')).toBeVisible();
});

test('a page that dies while alive loads itself again, and is not left half dead', async ({
  openPage,
}) => {
  const room = await openPage();
  const count = countLoads(room.page);
  const die = () =>
    room.page.evaluate(() => {
      const error = new WebAssembly.RuntimeError('unreachable');
      window.dispatchEvent(new ErrorEvent('error', { error }));
    });
  await room.input.fill('unsent');
  await die();
  await expect.poll(() => count.loads).toBe(1);
  await room.expectState('live');
  await expect(room.input).toHaveValue('unsent');
  await die();
  await expect(room.alert).toContainText('fault');
  expect(count.loads).toBe(2);
  await expect(room.input).toHaveValue('unsent');
  await room.expectState('stopped');
  // Sending the form loads the page anew, and the program starts again.
  await room.sendButton.click();
  await expect(room.message('unsent')).toBeVisible();
  await room.expectState('live');
});
