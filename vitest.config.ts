import { defineConfig } from 'vitest/config';

// Imports like `#lanes` lead to the sources here, by the condition `development` in package.json; the compiled tree in
// dist takes part only as the program that the end-to-end tests start.
const conditions = ['development', 'module', 'node', 'import', 'default'];

/** Thousands of histories each: a part of every whole run, and none of the edit loop (`npm run test:unit`). */
const models = [
  'apps/worker/src/**/ownership-model.spec.ts',
  'apps/worker/src/**/agents-model.spec.ts',
  'libs/lanes/src/**/lane-owners.spec.ts',
  'libs/lanes/src/**/lane-recovery.spec.ts',
  // Replaces a module for all that the worker loads after it, so that it cannot share a worker with unit tests.
  'libs/lanes/src/**/cursor-bound.spec.ts',
];

/**
 * Specs of the classes that talk to a broker or a guard, and others that start a process: a project of their own, outside the
 * edit loop.
 */
const broker = [
  '{libs,apps}/**/*.{client,consumer,publisher,server}.spec.ts',
  'libs/testing/src/*.spec.ts',
  'libs/jetstream/src/**/{embedded-broker,ordered-pull-bytes,ordered-pull-pauses}.spec.ts',
  'libs/guards/src/**/task-store.spec.ts',
  'apps/worker/src/**/{lane-memory,turn-memory,session-events}.spec.ts',
  'apps/cli/src/**/settings-command.spec.ts',
];

/** One more than cores: some always wait, for leases that run out and attempts that are due. More only make each other late. */
const E2E_WORKERS = 3;

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    reporters: ['default', './test/closing-line.reporter.ts'],
    // Tests start brokers and services of their own; more at once than a small machine has cores only makes them late.
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['libs/**/*.spec.ts', 'apps/**/*.spec.ts'],
          exclude: ['**/node_modules/**', '**/dist/**', ...models, ...broker],
          // To load every module again for each file takes longer than the tests do.
          isolate: false,
          pool: 'threads',
          // Property tests run thousands of cases; on a busy machine that takes its time.
          testTimeout: 60_000,
          globalSetup: ['test/global-setup.ts'],
        },
      },
      {
        extends: true,
        test: { name: 'models', include: models, testTimeout: 60_000, globalSetup: ['test/global-setup.ts'] },
      },
      {
        extends: true,
        test: {
          name: 'broker',
          include: broker,
          exclude: ['**/node_modules/**', '**/dist/**'],
          isolate: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          globalSetup: ['test/global-setup.ts'],
          maxWorkers: E2E_WORKERS,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.spec.ts'],
          globalSetup: ['test/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: E2E_WORKERS,
          // After the unit tests: what is broken in the small shows there first, and nothing else takes the cores.
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'chaos',
          include: ['test/chaos/**/*.spec.ts'],
          globalSetup: ['test/global-setup.ts'],
          testTimeout: 300_000,
          hookTimeout: 60_000,
          // Last and alone: whatever else takes the cores would look like a fault of its own.
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
