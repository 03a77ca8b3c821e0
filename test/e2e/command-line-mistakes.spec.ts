import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { packageRoot } from '#config';
import { expectNothingLeft } from '#testing';

/** A wrong word on the command line, or a Node that is too old, is told in words that say what to do. */

afterEach(expectNothingLeft);

interface Ended {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

function lanekeeper(args: readonly string[], nodeOptions: readonly string[] = [], app = 'cli'): Promise<Ended> {
  const root = packageRoot();
  const program = join(root, `dist/apps/${app}/src/main.js`);
  return new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], HOME: process.env['HOME'] };
    execFile(
      join(root, 'node_modules/.bin/node'),
      [...nodeOptions, program, ...args],
      { env },
      (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

const COMMANDS = ['up', 'ingress', 'worker', 'guard', 'demo', 'dead', 'tasks', 'workers', 'settings', 'repair'];

it.each([
  ['sessions', undefined],
  ['task', 'tasks'],
  ['wroker', 'worker'],
  ['dead-letters', undefined],
])('`lanekeeper %s` is answered with the commands that there are, and with what may be meant', async (word, meant) => {
  const { code, stdout, stderr } = await lanekeeper([word]);
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(new RegExp(`^error: unknown command '${word}'`));
  if (meant !== undefined) expect(stderr).toContain(`Did you mean ${meant}?`);
  for (const command of COMMANDS) expect(stderr).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
});

/** What Node 20 is to a program: its version, and what it does not have, at which a program fails while it loads. */
const NODE_20 = `
  import { registerHooks } from 'node:module';
  Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });
  delete JSON.rawJSON;
  registerHooks({
    load: (url, context, next) => {
      if (url === 'node:sqlite') throw new Error('No such built-in module: node:sqlite');
      return next(url, context);
    },
  });
`;

it.each([
  ['cli', 'worker'],
  ['cli', 'up'],
  ['cli', 'dead', 'ls'],
  ['cli', '--help'],
  ['worker', ''],
  ['ingress', ''],
  ['guard', ''],
])('the program of %s %s on Node 20 says which one it needs, in one line', async (app, ...words) => {
  const args = words.filter((word) => word !== '');
  const ended = await lanekeeper(args, ['--import', `data:text/javascript,${encodeURIComponent(NODE_20)}`], app);
  expect(ended).toEqual({
    ...{ code: 1, stdout: '' },
    stderr: expect.stringMatching(/^lanekeeper: Node: found 20\.20\.2, wanted 24 or newer; [^\n]+\n$/),
  });
});
