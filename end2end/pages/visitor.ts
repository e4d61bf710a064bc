// A room's page in any engine, with the actions and expectations of the journey.

import { expect } from '@playwright/test';

import type { Tab } from '../engines/engine';

const INPUT = '#message';

/** A row of the list of messages. */
export interface Row {
  body: string;
  fate: string;
  offset: string;
}

/** A room's page in a tab of any engine. */
export class Visitor {
  constructor(readonly tab: Tab) {}

  /** Waits until the page's program runs and its connection is in this state. */
  async expectAlive(state = 'live'): Promise<void> {
    await this.#expect('document.body?.dataset.hydrated ?? null', 'true');
    await this.expectState(state);
  }

  async expectState(state: string): Promise<void> {
    await this.#expect(`document.querySelector('.connection')?.dataset.state ?? null`, state);
  }

  /** Types a text and leaves it in the box. */
  async type(text: string): Promise<void> {
    await this.tab.type(INPUT, text);
  }

  async send(text: string): Promise<void> {
    await this.type(text);
    await this.tab.enter(INPUT);
    await this.expectInput('');
  }

  async expectInput(text: string): Promise<void> {
    await this.#expect(`document.querySelector('${INPUT}').value`, text);
  }

  /** Expects these drafts of other members. */
  async expectTyping(bodies: string[]): Promise<void> {
    await this.#expect(texts('.typing .body'), bodies);
  }

  async rows(): Promise<Row[]> {
    return this.tab.evaluate<Row[]>(
      `[...document.querySelectorAll('li[data-fate]')].map((row) => ({
        body: row.querySelector('.body').textContent,
        fate: row.dataset.fate,
        offset: row.dataset.offset ?? '',
      }))`,
    );
  }

  async expectFate(body: string, fate: string): Promise<void> {
    await expect
      .poll(async () => (await this.rows()).filter((row) => row.body === body).map((row) => row.fate))
      .toEqual([fate]);
  }

  /** Expects these messages, each once, durable, in this order and at the offsets from 1. */
  async expectLog(bodies: string[]): Promise<void> {
    const expected = bodies.map((body, index) => ({ body, fate: 'durable', offset: String(index + 1) }));
    await expect.poll(() => this.rows()).toEqual(expected);
  }

  async #expect(expression: string, value: unknown): Promise<void> {
    await expect.poll(() => this.tab.evaluate(expression).catch(String), { message: expression }).toEqual(value);
  }
}

function texts(selector: string): string {
  return `[...document.querySelectorAll('${selector}')].map((element) => element.textContent)`;
}
