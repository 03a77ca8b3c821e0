import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { expectNothingLeft, nothingLeftWithin } from './leak-check.js';
import { spawnOwned } from './owned-process.js';
import { isRunning } from './running.js';
import { spawnSourceProgram } from './source-program.js';
import { tempDir } from './temp-dir.js';
import { until } from './until.js';

test('a forgotten process and folder are named, and ended', async () => {
  const dir = await tempDir('forgotten');
  const owned = await spawnOwned({ command: '/bin/sleep', args: ['600'], env: {}, cwd: dir.path });
  const check = nothingLeftWithin(1_000);
  await expect(check).rejects.toThrow(`process ${owned.pid}`);
  await expect(check).rejects.toThrow(dir.path);
  expect((await owned.exited).signal).toBe('SIGKILL');
  expect(existsSync(dir.path)).toBe(false);
  await expectNothingLeft();
});

test('a process does not outlive its owner when the owner is killed', async () => {
  const owner = await spawnSourceProgram(`
    const { spawnOwned } = await import('./libs/testing/src/owned-process.ts');
    const { pid } = await spawnOwned({ command: '/bin/sleep', args: ['600'], env: {}, cwd: '/' });
    console.log('child ' + pid);
  `);
  const pid = await until('the owner has a child', () => Number(/child (\d+)/.exec(owner.output())?.[1]));
  await owner.killGroup9();
  await until('the child has ended', () => !isRunning(pid));
  await expectNothingLeft();
});
