import { join } from 'node:path';
import { packageRoot } from '#config';
import { compileCache, spawnOwned, type OwnedProcess } from '#testing';

const root = packageRoot();
const command = join(root, 'node_modules/.bin/node');

/** Where a command finds its settings. */
export interface Place {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
}

/** `lanekeeper …` as a user starts it, without waiting for a `ready` line. */
export function spawnCli(
  { folder, env }: Place,
  args: readonly string[],
  more: NodeJS.ProcessEnv = {},
): Promise<OwnedProcess> {
  return spawnOwned({
    command,
    args: ['--enable-source-maps', join(root, 'dist/apps/cli/src/main.js'), ...args],
    env: { ...hostEnvironment(), ...compileCache(), ...env, ...more },
    cwd: folder,
  });
}

/** Runs a few lines of JavaScript in a process of its own, on the compiled tree: `await import('#worker')` works there. */
export function spawnBuiltProgram(program: string): Promise<OwnedProcess> {
  return spawnOwned({
    command,
    args: ['--enable-source-maps', '--input-type=module', '-e', program],
    env: hostEnvironment(),
    cwd: root,
  });
}

/** Nothing else of the runner's environment gets through. */
function hostEnvironment(): NodeJS.ProcessEnv {
  const { PATH = '', HOME = '' } = process.env;
  return { PATH, HOME };
}
