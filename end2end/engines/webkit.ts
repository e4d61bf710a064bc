// WebKit for the journey, driven by WebDriver.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { Builder, By, Capabilities, Key, type WebDriver } from 'selenium-webdriver';

import { freePort } from '../fixtures/ports';
import type { Browser, Engine, Tab } from './engine';

const START_MS = 20_000;
const POLL_MS = 50;

/** WebKit, in WebKitGTK's MiniBrowser, by WebDriver, on a display in memory. */
export const webkit: Engine = {
  name: 'WebKit',
  ...(process.platform !== 'linux' && { unavailable: 'WebKitGTK and its driver are for Linux' }),
  start: async () => {
    const display = await startDisplay();
    const port = await freePort();
    const driver = start('WebKitWebDriver', [`--port=${port}`], {
      DISPLAY: display.name,
      // As root there is no sandbox; without a graphics card the CPU draws.
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1',
      WEBKIT_DISABLE_DMABUF_RENDERER: '1',
      LIBGL_ALWAYS_SOFTWARE: '1',
    });
    await answering(`http://127.0.0.1:${port}/status`);
    const session = await new Builder()
      .usingServer(`http://127.0.0.1:${port}`)
      .withCapabilities(
        new Capabilities({
          browserName: 'MiniBrowser',
          'webkitgtk:browserOptions': {
            binary: miniBrowser(),
            args: ['--automation'],
          },
        }),
      )
      .build();
    return new WebKitBrowser(session, [driver, display.child]);
  },
};

class WebKitBrowser implements Browser {
  #isFresh = true;

  constructor(
    private readonly session: WebDriver,
    private readonly children: ChildProcess[],
  ) {}

  async newTab(): Promise<Tab> {
    // A session begins with one window. A new one is opened from one that still exists.
    const [first] = await this.session.getAllWindowHandles();
    await this.session.switchTo().window(first!);
    if (!this.#isFresh) await this.session.switchTo().newWindow('tab');
    this.#isFresh = false;
    return new WebKitTab(this.session, await this.session.getWindowHandle());
  }

  async close(): Promise<void> {
    await this.session.quit().catch(() => undefined);
    for (const child of this.children) await end(child);
  }
}

/** One window of the session. WebDriver drives one window at a time, so each action switches to its own first. */
class WebKitTab implements Tab {
  constructor(
    private readonly session: WebDriver,
    private readonly handle: string,
  ) {}

  async goto(url: string): Promise<void> {
    await this.#turn();
    await this.session.get(url).catch(() => undefined);
  }

  async reload(): Promise<void> {
    await this.#turn();
    await this.session.navigate().refresh();
  }

  async close(): Promise<void> {
    await this.#turn();
    await this.session.close();
  }

  async type(selector: string, text: string): Promise<void> {
    await this.#turn();
    await this.session.findElement(By.css(selector)).sendKeys(text);
  }

  async enter(selector: string): Promise<void> {
    await this.type(selector, Key.ENTER);
  }

  async evaluate<T>(expression: string): Promise<T> {
    await this.#turn();
    return this.session.executeScript<T>(`return ${expression}`);
  }

  async #turn(): Promise<void> {
    await this.session.switchTo().window(this.handle);
  }
}

/** The path of MiniBrowser, which distributions install outside of the PATH. */
function miniBrowser(): string {
  const homes = ['/usr/libexec', ...readdirSync('/usr/lib').map((name) => `/usr/lib/${name}`)];
  const places = homes.map((home) => `${home}/webkit2gtk-4.1/MiniBrowser`);
  const found = process.env.MINI_BROWSER ?? places.find(existsSync);
  if (!found) throw new Error('There is no MiniBrowser of WebKitGTK 4.1: install it, or name it in MINI_BROWSER.');
  return found;
}

/** Starts an X display in memory, under a free number that it chooses. */
async function startDisplay(): Promise<{ name: string; child: ChildProcess }> {
  const child = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1280x900x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  running.add(child);
  const failed = once(child, 'error').then(([error]) => {
    throw new Error(`Xvfb does not start: ${error}`);
  });
  const said = once(child.stdio[3]!, 'data').then(([number]) => `:${String(number).trim()}`);
  return { name: await Promise.race([said, failed]), child };
}

/** The processes to end with the test run, also if that crashes. */
const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

function start(program: string, args: string[], environment: Record<string, string>): ChildProcess {
  const child = spawn(program, args, { env: { ...process.env, ...environment }, stdio: 'ignore' });
  running.add(child);
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  running.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

async function answering(url: string): Promise<void> {
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return;
    await delay(POLL_MS);
  }
  throw new Error(`No answer at ${url}: is WebKitWebDriver installed (Debian: webkit2gtk-driver)?`);
}
