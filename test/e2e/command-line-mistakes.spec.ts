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

function lanekeeper(args: readonly string[], nodeOptions: readonly string[] = []): Promise<Ended> {
  const root = packageRoot();
  const program = join(root, 'dist/apps/cli/src/main.js');
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

const COMMANDS = ['up', 'ingress', 'worker', 'guard', 'demo', 'dead', 'tasks', 'workers', 'repair'];

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

it.each([['worker'], ['up'], ['dead', 'ls']])(
  '`lanekeeper %s %s` on Node 20 says which one it needs, in one line',
  async (...args) => {
    const versions = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })`;
    const ended = await lanekeeper(args, ['--import', `data:text/javascript,${encodeURIComponent(versions)}`]);
    expect(ended).toEqual({
      ...{ code: 1, stdout: '' },
      stderr: expect.stringMatching(/^lanekeeper: Node: found 20\.20\.2, wanted 24 or newer; [^\n]+\n$/),
    });
  },
);
