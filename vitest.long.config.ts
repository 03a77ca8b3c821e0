import { defineConfig } from 'vitest/config';
import everyTest from './vitest.config.js';

const { resolve, ssr } = everyTest;

/** `npm run test:long`: real clusters in many rounds. One file at a time, since each takes all cores there are. */
export default defineConfig({
  ...(resolve === undefined ? {} : { resolve }),
  ...(ssr === undefined ? {} : { ssr }),
  test: {
    include: ['test/long/**/*.spec.ts'],
    globalSetup: ['test/global-setup.ts'],
    reporters: ['default', './test/closing-line.reporter.ts'],
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 60_000,
  },
});
