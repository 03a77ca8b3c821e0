import { defineConfig } from 'vitest/config';
import everyDay from './vitest.config.js';

/** `npm run test:long`: promises that take minutes to be seen kept, one file after another. */
export default defineConfig({
  ...everyDay,
  test: {
    reporters: ['default', './test/closing-line.reporter.ts'],
    name: 'long',
    include: ['test/long/**/*.spec.ts'],
    globalSetup: ['test/global-setup.ts'],
    // Whatever else takes the cores would look like a fault of its own.
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 60_000,
  },
});
