// A room's page in Playwright, with the actions and expectations of the tests.

import { expect, type Locator, type Page } from '@playwright/test';

import type { Wire } from '../fixtures/wire';
import { NAMES, type Names } from './names';

/** A room's page: its elements as a user finds them, and the user's actions. */
export class RoomPage {
  readonly input: Locator;
  readonly sendButton: Locator;
  /** The text received last. */
  readonly received: Locator;
  readonly log: Locator;
  readonly typing: Locator;
  readonly people: Locator;
  readonly connection: Locator;
  /** Why it is not live, or what its return brought. */
  readonly why: Locator;
  /** The number of messages that wait. */
  readonly outbox: Locator;
  readonly tryNow: Locator;
  readonly name: Locator;
  readonly older: Locator;
  readonly alert: Locator;
  /** On a narrow screen: the button that opens and closes the sheet with the name, the people and the rooms. */
  readonly sheetButton: Locator;

  constructor(
    readonly page: Page,
    readonly wire: Wire,
    private readonly names: Names = NAMES.en,
  ) {
    this.input = page.getByRole('textbox', { name: names.message, exact: true });
    this.sendButton = page.getByRole('button', { name: names.send, exact: true });
    this.received = page.getByRole('status', { name: names.received });
    this.log = page.getByRole('log', { name: names.messages });
    this.typing = page.getByRole('list', { name: names.typing });
    this.people = page.getByRole('list', { name: names.people });
    this.connection = page.getByRole('group', { name: names.connection });
    this.why = page.locator('.connection .why');
    this.outbox = page.locator('.outbox');
    this.tryNow = page.getByRole('button', { name: names.tryNow });
    this.name = page.getByRole('textbox', { name: names.name });
    this.older = page.getByRole('button', { name: names.older });
    this.alert = page.getByRole('alert');
    this.sheetButton = page.locator('.to-sheet');
  }

  /** Opens a room and waits until it is hydrated and its connection is in this state. */
  async goto(url: string, room: string, state: string | RegExp): Promise<void> {
    await this.page.goto(room === 'lobby' ? `${url}/` : `${url}/r/${room}`);
    await this.expectHydrated();
    await this.expectState(state);
  }

  /** Fills in a text and sends it. */
  async send(text: string): Promise<void> {
    await this.input.fill(text);
    await this.input.press('Enter');
    await expect(this.input).toHaveValue('');
  }

  async sendAll(texts: readonly string[]): Promise<void> {
    for (const text of texts) await this.send(text);
  }

  /** Types at a human's pace, and leaves the text in the box. */
  async type(text: string, delay = 50): Promise<void> {
    await this.input.pressSequentially(text, { delay });
  }

  /** Presses the button that skips the rest of a backoff, until there is a connection. */
  async hurry(): Promise<void> {
    await expect(async () => {
      if (await this.tryNow.isVisible()) await this.tryNow.click({ timeout: 500 });
      await this.expectState('live', 500);
    }).toPass();
  }

  /** Changes to another room within the page, without loading it anew. */
  async goToRoom(room: string): Promise<void> {
    await this.page.getByRole('textbox', { name: this.names.room, exact: true }).fill(room);
    await this.page.getByRole('button', { name: this.names.go, exact: true }).click();
    await expect(this.page).toHaveURL(new RegExp(`/r/${room}$`));
  }

  /** Hides the page, as another tab in front of it does, or brings it back into view. */
  async hide(isHidden: boolean): Promise<void> {
    await this.page.evaluate((isHidden) => {
      const value = { configurable: true, get: () => isHidden };
      Object.defineProperty(document, 'hidden', value);
      const state = { configurable: true, get: () => (isHidden ? 'hidden' : 'visible') };
      Object.defineProperty(document, 'visibilityState', state);
      document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    }, isHidden);
  }

  /** The row of a message. */
  message(text: string): Locator {
    return this.log.locator('li[data-fate]', {
      has: this.page.locator('.body').and(this.page.getByText(text, { exact: true })),
    });
  }

  /** All texts of the room, in the order in which they are shown. */
  async bodies(): Promise<string[]> {
    return this.log.locator('.body').allTextContents();
  }

  /** The distinct values of an attribute over all messages. */
  async distinct(attribute: 'data-fate' | 'data-session'): Promise<string[]> {
    const values = await this.#attributes(attribute);
    return [...new Set(values)];
  }

  /** The offsets of all messages, in the order in which they are shown. */
  async offsets(): Promise<number[]> {
    return (await this.#attributes('data-offset')).map(Number);
  }

  /** The number of heartbeats that the page has shown. */
  async beats(): Promise<number> {
    return Number(await this.page.locator('.pulse').getAttribute('data-beats'));
  }

  /** The connection's states so far. */
  async states(): Promise<{ state: string; at: number }[]> {
    return this.page.evaluate(() => window.seen.states);
  }

  /** The fates of a message so far. */
  async fates(text: string): Promise<string[]> {
    const all = await this.page.evaluate(() => window.seen.fates);
    return all.filter((seen) => seen.body === text).map((seen) => seen.fate);
  }

  async expectHydrated(): Promise<void> {
    await expect(this.page.locator('body[data-hydrated="true"]')).toBeAttached();
  }

  async expectState(state: string | RegExp, timeout?: number): Promise<void> {
    await expect(this.connection).toHaveAttribute('data-state', state, { timeout });
  }

  async expectFate(text: string, fate: string): Promise<void> {
    await expect(this.message(text)).toHaveAttribute('data-fate', fate);
  }

  /** Expects that this many messages wait; the number is hidden when none does. */
  async expectWaiting(count: number): Promise<void> {
    if (count === 0) return expect(this.outbox).toBeHidden();
    await expect(this.outbox).toHaveText(this.names.waiting(count));
    await expect(this.outbox).toHaveAttribute('data-waiting', String(count));
  }

  async #attributes(attribute: string): Promise<string[]> {
    const entries = this.log.locator('li[data-fate]');
    return entries.evaluateAll(
      (items, name) => items.map((item) => item.getAttribute(name) ?? ''),
      attribute,
    );
  }
}

/** `prefix 1`, `prefix 2`, and so on. */
export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix} ${index + 1}`);
}

/**
 * Expects that all pages show exactly these messages, durable, in one order, in which the messages of each
 * list are in the order in which they were sent.
 */
export async function expectSameLog(pages: RoomPage[], ...sent: string[][]): Promise<void> {
  const [first] = pages;
  // When this message has arrived, all before it have, such as a doubled message.
  await expect(first!.input).toBeEnabled();
  await first!.send('the end');
  const expected = [...sent.flat(), 'the end'].sort();
  for (const page of pages) {
    await expect(page.message('the end')).toHaveAttribute('data-fate', 'durable');
    await expect.poll(async () => (await page.bodies()).sort()).toEqual(expected);
    await expect.poll(() => page.distinct('data-fate')).toEqual(['durable']);
    await page.expectWaiting(0);
  }
  const order = await first!.bodies();
  for (const page of pages) {
    expect(await page.bodies()).toEqual(order);
    expect(await page.offsets()).toEqual(order.map((_, index) => index + 1));
  }
  for (const list of sent) {
    expect(order.filter((body) => list.includes(body))).toEqual(list);
  }
}
