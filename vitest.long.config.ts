import { defineConfig } from 'vitest/config';
import everyTest from './vitest.config.js';

const { resolve, ssr } = everyTest;

/**
 * `npm run test:long`: real clusters in many rounds, and the models with many histories. One file at a time: each takes all
 * cores.
 */
export default defineConfig({
  ...(resolve === undefined ? {} : { resolve }),
  ...(ssr === undefined ? {} : { ssr }),
  test: {
    include: [
      'test/long/**/*.spec.ts',
      'apps/worker/src/**/ownership-model.spec.ts',
      'apps/worker/src/**/agents-model.spec.ts',
      'libs/lanes/src/**/lane-owners.spec.ts',
    ],
    env: { MODEL_HISTORIES: '10000' },
    globalSetup: ['test/global-setup.ts'],
    reporters: ['default', './test/closing-line.reporter.ts'],
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 60_000,
  },
});
