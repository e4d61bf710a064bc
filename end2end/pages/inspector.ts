// The inspector in Playwright, with the actions and expectations of the tests.

import { expect, type Locator, type Page } from '@playwright/test';

import type { Frame } from '../fixtures/wire';
import type { RoomPage } from './room-page';

/** A frame as the inspector draws it. */
export interface Arrow {
  /** Whether it goes to the server. */
  up: boolean;
  type: string;
  /** The page's number of the connection; of one that only the server noted, another text. */
  connection: number;
  ordinal: number;
  fate: string;
  /** Whether the page noted it. */
  ours: boolean;
}

/** The open inspector of a room's page. */
export class Inspector {
  readonly page: Page;
  readonly region: Locator;
  /** What an experiment says. */
  readonly card: Locator;
  /** The count of the user's messages. */
  readonly receipt: Locator;
  readonly story: Locator;
  readonly pause: Locator;

  constructor(readonly room: RoomPage) {
    this.page = room.page;
    this.region = room.page.getByRole('region', { name: 'Both ends of your connection' });
    this.card = this.region.locator('.card');
    this.receipt = this.region.locator('.receipt');
    this.story = this.region.locator('ol');
    this.pause = this.region.locator('[data-act=pause]');
  }

  /** Opens it by the button in the header. */
  static async open(room: RoomPage): Promise<Inspector> {
    const inspector = new Inspector(room);
    await room.page.locator('header .inspect').click();
    await expect(inspector.card).not.toBeEmpty();
    await inspector.expectBothEnds();
    return inspector;
  }

  /** Chooses an experiment and an answer. */
  async guess(title: RegExp, answer = 1): Promise<void> {
    await this.region.getByRole('button', { name: title }).click();
    await this.card.getByRole('button').nth(answer).click();
  }

  /** Presses the button that breaks something. */
  async press(name: string): Promise<void> {
    await this.card.getByRole('button', { name, exact: true }).click();
  }

  /** The drawing stands still at the moment that matters, with this explanation. */
  async expectMoment(text: RegExp, timeout = 30_000): Promise<void> {
    await expect(this.card).toContainText(text, { timeout });
    await expect(this.pause).toHaveText('Go on');
    await expect(this.region.locator('svg .cursor')).toBeAttached();
  }

  async goOn(): Promise<void> {
    await this.card.getByRole('button', { name: 'Go on' }).click();
    await expect(this.pause).toHaveText('Pause');
  }

  /**
   * So many messages were written and stored, none is lost and none doubled: as both ends saw, if the server's trace did not end
   * in between.
   */
  async expectReceipt(written: number, { traceEnded = false } = {}): Promise<void> {
    await expect(this.receipt).toContainText(`${written} written, ${written} in the log, 0 lost, 0 doubled.`);
    await expect(this.receipt).not.toContainText('on the way');
    if (!traceEnded) await expect(this.receipt).not.toContainText('only your page has spoken');
  }

  /** The server's trace is read. */
  async expectBothEnds(): Promise<void> {
    await expect(this.region.locator('svg .rail')).toHaveCount(2);
    await expect.poll(() => this.#read('server.length')).toBeGreaterThan(1);
  }

  /** All frames that it draws. */
  async arrows(): Promise<Arrow[]> {
    return this.page.evaluate(() => {
      const { made } = document.querySelector('everbeat-inspector') as unknown as {
        made: { arrows: { up: number; c: number; fate: string; e: { type: string; n: number; run?: number } }[] };
      };
      return made.arrows.map(({ up, c, fate, e }) => ({
        up: Boolean(up),
        fate,
        type: e.type,
        connection: c,
        ordinal: e.n,
        ours: up ? !e.run : fate === 'arrived',
      }));
    });
  }

  /**
   * Each frame is drawn once, with one fate. What the page noted is what went over the wire, but for `swallowed` frames, which
   * never got there; and what went over the wire since then was noted, unless the page was deaf.
   */
  async expectFramesOf(frames: Frame[], { swallowed = 0, isDeaf = false } = {}): Promise<void> {
    await expect(async () => {
      const arrows = await this.arrows();
      for (const { fate } of arrows) expect(fate).toMatch(/^(arrived|lost|unknown|flying)$/);
      const places = arrows.map(({ up, connection, ordinal }) => [up, connection, ordinal].join());
      expect(new Set(places).size, 'each frame is drawn once').toBe(places.length);

      const noted = arrows.filter(({ ours }) => ours);
      // A connection whose handshake was swallowed has no socket.
      const numbers = distinct(noted.filter(({ fate }) => fate === 'arrived').map(({ connection }) => connection));
      const sockets = distinct(frames.map(({ connection }) => connection)).slice(-numbers.length);
      const onWire = ({ up, connection }: Arrow) => {
        const socket = sockets[numbers.indexOf(connection)];
        return frames.filter((frame) => frame.connection === socket && frame.from === (up ? 'page' : 'server'));
      };
      const others = noted.filter((arrow) => onWire(arrow)[arrow.ordinal - 1]?.type !== arrow.type);
      expect(others.length, `not on the wire: ${others.map(({ type }) => type).join(', ')}`).toBe(swallowed);
      for (const arrow of isDeaf ? [] : noted) {
        const same = noted.filter(({ up, connection }) => up === arrow.up && connection === arrow.connection);
        const first = Math.min(...same.map(({ ordinal }) => ordinal));
        const missing = onWire(arrow).filter((_, index) => index + 1 >= first).length - same.length;
        expect(missing, 'all that went over the wire is drawn').toBe(0);
      }
    }).toPass({ timeout: 10_000 });
  }

  async #read(path: string): Promise<number> {
    return this.page.evaluate((path) => {
      const inspector = document.querySelector('everbeat-inspector') as unknown as Record<string, { length: number }>;
      return inspector[path.split('.')[0]!]!.length;
    }, path);
  }
}

/** The numbers of a list, in order, each once. */
function distinct(list: number[]): number[] {
  return [...new Set(list)].sort((x, y) => x - y);
}
