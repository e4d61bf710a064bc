import { defineConfig } from '@playwright/test';

import tests from '../playwright.config';

/** Measurements: the browser and the server of the tests, one thing at a time. */
export default defineConfig({
  ...tests,
  testDir: '.',
  globalSetup: '../fixtures/require-build.ts',
  fullyParallel: false,
  workers: 1,
  timeout: 300_000,
  reporter: './reporter.ts',
});
