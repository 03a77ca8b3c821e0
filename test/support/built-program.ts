import { join } from 'node:path';
import { packageRoot } from '#config';
import { spawnOwned, type OwnedProcess } from '#testing';

/** Runs a few lines of JavaScript in a process of its own, on the compiled tree: `await import('#worker')` works there. */
export function spawnBuiltProgram(program: string): Promise<OwnedProcess> {
  const root = packageRoot();
  const { PATH = '', HOME = '' } = process.env;
  return spawnOwned({
    command: join(root, 'node_modules/.bin/node'),
    args: ['--enable-source-maps', '--input-type=module', '-e', program],
    env: { PATH, HOME },
    cwd: root,
  });
}
