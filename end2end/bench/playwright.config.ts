import { defineConfig } from '@playwright/test';

import tests from '../playwright.config';

/** The configuration for measurements: the tests' browser and server, with one worker. */
export default defineConfig({
  ...tests,
  testDir: '.',
  globalSetup: '../fixtures/require-build.ts',
  fullyParallel: false,
  workers: 1,
  timeout: 300_000,
  reporter: './reporter.ts',
});
