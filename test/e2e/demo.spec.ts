import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { packageRoot } from '#config';
import { expectNothingLeft, tempDir } from '#testing';

afterEach(expectNothingLeft);

it('the demo tells both stories from real runs: the quick question is last in one queue and first with lanes', async () => {
  await using dir = await tempDir('demo');
  const root = packageRoot();
  const { stdout } = await promisify(execFile)(
    join(root, 'node_modules/.bin/node'),
    [join(root, 'dist/apps/cli/src/main.js'), 'demo'],
    // Its own temp folder goes into ours, so that the leak check sees what it leaves.
    {
      cwd: dir.path,
      env: { PATH: process.env['PATH'], TMPDIR: dir.path, NATS_SERVER_BIN: process.env['NATS_SERVER_BIN'] },
    },
  );
  const [, oneQueue = '', lanes = ''] = stdout.split(/One queue: .*|Lanekeeper: .*/);
  const answers = (story: string): string[] =>
    [...story.matchAll(/Topic (\w) is answered/g)].map(([, topic = '']) => topic);
  expect(answers(oneQueue)).toEqual(['A', 'B']);
  expect(answers(lanes)).toEqual(['B', 'A']);
  expect(stdout).toMatch(/B +·+█+ +answered after/);
});
