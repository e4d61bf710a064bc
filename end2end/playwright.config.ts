import { existsSync } from 'node:fs';

import { defineConfig } from '@playwright/test';

// Without `webServer` and `baseURL`: each test starts a server of its own (fixtures/server.ts), which
// it may kill.
export default defineConfig({
  testDir: 'tests',
  globalSetup: './fixtures/require-build.ts',
  // Pictures for the README are made on demand: `npm run screenshots`.
  grepInvert: process.env.SCREENSHOTS ? undefined : /@screenshots/,
  fullyParallel: true,
  workers: 2,
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  timeout: 60_000,
  // A page may draw up to 10 s of backoff (RC-1) before it reconnects.
  expect: { timeout: 15_000 },
  reporter: 'list',
  use: {
    locale: 'en-GB',
    actionTimeout: 15_000,
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: browser(),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});

/** The machine's browser; `undefined` is Playwright's own, if it was downloaded. */
function browser(): string | undefined {
  const places = ['/usr/bin/chromium', '/usr/bin/google-chrome'];
  return process.env.CHROMIUM ?? places.find(existsSync);
}
