import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { spawnCli } from '../support/built-program.js';
import { askGuard, startGuardRole } from '../support/guard-role.js';
import { startUp } from '../support/lanekeeper-up.js';

afterEach(expectNothingLeft);

/** `lanekeeper tasks …` as an operator runs it: what it says, and its exit code. */
async function tasks(folder: string, env: NodeJS.ProcessEnv, ...args: string[]) {
  const cli = await spawnCli({ folder, env }, ['tasks', ...args]);
  const { code } = await cli.exited;
  return { code, output: cli.output() };
}

it('an operator sees who runs what, approves a second try, and frees a task without its token (G2)', async () => {
  await using up = await startUp();
  const env = { LANEKEEPER_DATA_DIR: up.dir.path };
  const cli = (...args: string[]) => tasks(up.dir.path, env, ...args);
  expect(await cli('ls')).toEqual({ code: 0, output: 'no tasks\nin all: none runs, none waits\n' });

  const ask = (key: string, operation: string, body: object) => askGuard(up.api.url, key, operation, body);
  const [one, two] = ['agent:main:chat::deploy', 'agent:main:chat::tests'];
  const { token } = await ask(one, 'acquire', { requestId: 'a1', runId: 'run-1', owner: 'ann' });
  await ask(two, 'acquire', { requestId: 'b1', runId: 'run-2' });
  await ask(one, 'release', { token, status: 'failed', error: 'disk full\u001b[2J' });

  const ls = await until('the guard has counted both', async () => {
    const { output } = await cli('ls', '--scope', 'agent:main:chat');
    return output.endsWith('in all: 1 running, 1 failed\n') && output;
  });
  expect(ls).toMatch(/agent:main:chat::tests.*running.*ago.*run-2/);
  expect(ls).toMatch(/agent:main:chat::deploy.*failed.*ann.*waits for approval: Error: disk/);
  expect(ls).not.toContain('\u001b[2J');
  expect((await cli('ls', '--state', 'failed')).output).not.toContain(two);
  expect((await cli('ls', '--stale')).output).toMatch(/^no tasks\n/);
  expect(JSON.parse((await cli('ls', '--json', '--limit', '1')).output)).toMatchObject({
    tasks: [{ key: two, state: 'running' }],
    next: expect.any(Number),
  });

  const approved = await cli('approve-retry', two, one, '--by', 'bob');
  expect(approved.code).toBe(1);
  expect(approved.output).toContain(`${one}: approved by bob: the next one may run it\n`);
  expect(approved.output).toContain(`lanekeeper: ${two}: 409: state: found running`);
  expect(await ask(one, 'acquire', { requestId: 'a2', runId: 'run-3' })).toMatchObject({ kind: 'acquired' });
  const shown = await cli('show', one);
  expect(shown.output).toMatch(/state +running since .* ago\)/);
  expect(shown.output).toMatch(
    /history\n.*acquired +run run-1\n.*released +failed.*\n.*approved +by bob.*\n.*run-3\n$/,
  );

  expect(await cli('release', one, '--status', 'failed')).toEqual({ code: 0, output: `${one}: released, failed\n` });
  expect(await ask(one, 'acquire', { requestId: 'a3', runId: 'run-4' })).toMatchObject({
    kind: 'approval_required',
    error: { message: expect.stringMatching(/^ended by .+@.+/) },
  });
  expect(await cli('release', one)).toEqual({ code: 0, output: `${one}: released, cancelled\n` });
  expect(await ask(one, 'acquire', { requestId: 'a4', runId: 'run-5' })).toMatchObject({ kind: 'acquired' });
  expect(JSON.parse((await cli('show', one, '--json')).output)).toMatchObject({ key: one, runId: 'run-5' });
  expect(await cli('show', 'nobody::knows')).toMatchObject({ code: 1, output: expect.stringContaining('404: key') });
});

it('at the address of ingress alone it says where the guard is; at the guard’s own it works', async () => {
  await using role = await startGuardRole();
  const ingress = await role.start('ingress');
  const wrong = await tasks(role.folder, { LANEKEEPER_URL: ingress.url }, 'ls');
  expect(wrong).toMatchObject({ code: 1, output: expect.stringMatching(/set LANEKEEPER_URL.*127\.0\.0\.1:7071/) });
  const right = await tasks(role.folder, { LANEKEEPER_URL: role.url }, 'ls');
  expect(right).toEqual({ code: 0, output: 'no tasks\nin all: none runs, none waits\n' });
});
