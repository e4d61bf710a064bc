// Chromium and Firefox for the journey, driven by Puppeteer.

import { existsSync } from 'node:fs';

import puppeteer, { type Browser as Puppet, type Page } from 'puppeteer-core';

import type { Browser, Engine, Tab } from './engine';

const FIREFOX = ['/usr/bin/firefox-esr', '/usr/bin/firefox', '/Applications/Firefox.app/Contents/MacOS/firefox'];

/** Chromium, by the DevTools protocol. */
export const chromium: Engine = {
  name: 'Chromium',
  start: async () =>
    new PuppetBrowser(
      await puppeteer.launch({
        browser: 'chrome',
        executablePath: installed('CHROMIUM', ['/usr/bin/chromium', '/usr/bin/google-chrome']),
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
      }),
    ),
};

/** Firefox, by WebDriver BiDi, which it speaks without a separate driver. */
export const firefox: Engine = {
  name: 'Firefox',
  start: async () =>
    new PuppetBrowser(
      await puppeteer.launch({
        browser: 'firefox',
        executablePath: installed('FIREFOX', FIREFOX),
        extraPrefsFirefox: { 'network.captive-portal-service.enabled': false, 'network.connectivity-service.enabled': false },
      }),
    ),
};

/** The program that an environment variable names, or the first installed one of these. */
function installed(variable: string, places: string[]): string {
  const found = process.env[variable] ?? places.find(existsSync);
  if (!found) throw new Error(`None of ${places.join(', ')} is there: install one, or name it in ${variable}.`);
  return found;
}

class PuppetBrowser implements Browser {
  constructor(private readonly browser: Puppet) {}

  async newTab(): Promise<Tab> {
    const page = await this.browser.newPage();
    // A page with unsettled messages opens a `beforeunload` dialog; a driver by WebDriver answers it itself,
    // so only the first answer counts.
    page.on('dialog', (dialog) => void dialog.accept().catch(() => undefined));
    return new PuppetTab(page);
  }

  async close(): Promise<void> {
    await this.browser.close();
  }
}

class PuppetTab implements Tab {
  constructor(private readonly page: Page) {}

  async goto(url: string): Promise<void> {
    await this.page.goto(url).catch(() => undefined);
  }

  async reload(): Promise<void> {
    await this.page.reload();
  }

  async close(): Promise<void> {
    await this.page.close();
  }

  async type(selector: string, text: string): Promise<void> {
    await this.page.bringToFront();
    await this.page.type(selector, text);
  }

  async enter(selector: string): Promise<void> {
    await this.page.bringToFront();
    await this.page.focus(selector);
    await this.page.keyboard.press('Enter');
  }

  async evaluate<T>(expression: string): Promise<T> {
    return (await this.page.evaluate(expression)) as T;
  }
}
