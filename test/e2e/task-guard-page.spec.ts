import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { packageRoot } from '#config';
import { expectNothingLeft } from '#testing';
import { startGuardRole } from '../support/guard-role.js';

afterEach(expectNothingLeft);

const root = packageRoot();
const MARK = '=== end of block ===';

/** For machines without curl: as much of it as the page uses. */
const CURL = `import { parseArgs } from 'node:util';
const options = { silent: { type: 'boolean', short: 's' }, header: { type: 'string', short: 'H', multiple: true }, data: { type: 'string', short: 'd' } };
const { values: { header = [], data }, positionals: [url] } = parseArgs({ options, allowPositionals: true });
const headers = Object.fromEntries(header.map((line) => line.split(': ')));
const response = await fetch(url, data === undefined ? {} : { method: 'POST', headers, body: data });
process.stdout.write(await response.text());
`;

/** Puts programs of these names into a folder, each a module of ours. */
async function programs(folder: string, files: Record<string, string>): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const [name, module] of Object.entries(files)) {
    await writeFile(join(folder, name), `#!/bin/sh\nexec "${process.execPath}" "${module}" "$@"\n`);
    await chmod(join(folder, name), 0o755);
  }
  return folder;
}

/** What the page shows, as a pattern: numbers and `…` stand for what differs from run to run. */
function likeShown(value: unknown): unknown {
  if (typeof value === 'number' && value !== 409) return expect.any(Number);
  if (typeof value === 'string' && value.includes('…')) {
    const parts = value.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    return expect.stringMatching(new RegExp(`^${parts.join('.*')}$`, 's'));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, likeShown(inner)]));
}

it('every command of docs/task-guard.md does what the page says', async () => {
  await using role = await startGuardRole();
  const page = await readFile(join(root, 'docs/task-guard.md'), 'utf8');
  const blocks = [...page.matchAll(/^```sh run\n(.*?)^```\n(?:\n```json\n(.*?)^```\n)?/gms)];
  expect(blocks.length).toBeGreaterThan(10);

  await writeFile(join(role.folder, 'curl.mjs'), CURL);
  const cli = await programs(join(role.folder, 'bin'), { lanekeeper: join(root, 'dist/apps/cli/src/main.js') });
  const standIns = await programs(join(role.folder, 'last'), { curl: join(role.folder, 'curl.mjs') });
  const { PATH, HOME } = process.env;
  const script = blocks.map(([, commands]) => `${commands}\nprintf '\\n%s\\n' '${MARK}'\n`).join('');
  const { stdout } = await promisify(execFile)('sh', ['-euc', script], {
    cwd: root,
    env: { PATH: `${cli}:${PATH}:${standIns}`, HOME, LANEKEEPER_URL: role.url },
  });

  const printed = stdout.split(`\n${MARK}\n`).slice(0, -1);
  expect(printed).toHaveLength(blocks.length);
  for (const [i, [, commands, shown]] of blocks.entries()) {
    if (shown === undefined) continue;
    expect(JSON.parse(printed[i] ?? ''), commands).toEqual(likeShown(JSON.parse(shown)));
  }
  expect(printed.join('\n')).toMatch(/agent:main:main::deploy.*cancelled/);
});
