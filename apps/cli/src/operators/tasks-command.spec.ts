import { Command } from 'commander';
import { expect, it } from 'vitest';
import type { TaskView } from '#contracts';
import { RefusedError } from './api-client.js';
import { addTasksCommand } from './tasks-command.js';

const NOW = Date.UTC(2026, 10, 21, 12);
const MINUTE = 60_000;

/** Runs the command on a guard that answers so, and tells what was asked and printed. */
async function run(args: string[], answer: unknown) {
  const calls: unknown[][] = [];
  const printed: string[] = [];
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  const call = async (...request: unknown[]): Promise<unknown> => {
    calls.push(request);
    const given: unknown = typeof answer === 'function' ? answer(...request) : answer;
    if (given instanceof Error) throw given;
    return given;
  };
  addTasksCommand(
    program,
    () => ({ call }),
    (text) => void printed.push(text),
    () => NOW,
  );
  program.commands[0]?.commands.forEach((command) => command.exitOverride().configureOutput({ writeErr: () => {} }));
  const end = await program.parseAsync(['tasks', ...args], { from: 'user' }).then(
    () => undefined,
    (error: Error) => error.message,
  );
  return { calls, output: printed.join('\n'), end };
}

const running: TaskView = {
  ...{ key: 'chat:1::deploy', state: 'running', runId: 'run-1', token: 7, owner: 'worker a' },
  ...{ startedAt: NOW - 3 * MINUTE, expiresAt: NOW + 2 * MINUTE, stale: 'heal', attempts: 1, staleCount: 0 },
  history: [{ at: NOW - 3 * MINUTE, what: 'acquired', runId: 'run-1' }],
};
const failed: TaskView = {
  ...{ key: 'chat:2::deploy', state: 'failed', runId: 'run-2', token: 8, startedAt: NOW - 9 * MINUTE },
  ...{
    endedAt: NOW - 8 * MINUTE,
    status: 'timed_out',
    approvableUntil: NOW + 60 * MINUTE,
    keptUntil: NOW + 24 * 60 * MINUTE,
    attempts: 2,
    staleCount: 1,
  },
  error: { name: 'Timeout', message: 'no answer\n\u001b[2Jgotcha\u202e' },
  history: [
    { at: NOW - 9 * MINUTE, what: 'acquired', runId: 'run-2' },
    { at: NOW - 8 * MINUTE, what: 'ended', runId: 'run-2', status: 'timed_out', by: 'ann\u0007' },
  ],
};

it('ls asks for what its options say', async () => {
  const none = { tasks: [], counts: {} };
  const asked = async (...args: string[]) => (await run(['ls', ...args], none)).calls[0];
  expect(await asked()).toEqual(['GET', '/v1/tasks?limit=50']);
  expect(await asked('--stale')).toEqual(['GET', '/v1/tasks?limit=50&state=stale']);
  expect(await asked('--state', 'failed', '--scope', 'a b', '--limit', '2', '--after', '9')).toEqual([
    'GET',
    '/v1/tasks?limit=2&state=failed&scope=a+b&after=9',
  ]);
  expect((await run(['ls', '--state', 'lost'], none)).end).toMatch(/running, succeeded, cancelled, failed, stale/);
  expect((await run(['ls', '--stale', '--state', 'failed'], none)).end).toMatch(/cannot be used with/);
});

it('ls shows which run has which task for how long, what waits for an approval, and the counts', async () => {
  const { output } = await run(['ls'], { tasks: [running, failed], next: 12, counts: { failed: 1, running: 3 } });
  expect(output).toMatch(/chat:1::deploy.*running.*3m ago.*run-1.*worker a.*expires in 2m unless renewed/);
  expect(output).toMatch(/chat:2::deploy.*failed.*8m ago.*run-2.*waits for approval, which lapses in 1h/);
  expect(output).toMatch(/\nmore: --after 12\nin all: 3 running, 1 failed$/);
  expect((await run(['ls'], { tasks: [], counts: {} })).output).toBe('no tasks\nin all: none runs, none waits');
  const answer = { tasks: [running], counts: { running: 1 } };
  expect(JSON.parse((await run(['ls', '--json'], answer)).output)).toEqual(answer);
});

it('show tells the state, who, the error and the history; no text of others reaches the screen raw', async () => {
  const { calls, output } = await run(['show', 'chat:2::deploy'], failed);
  expect(calls).toEqual([['GET', '/v1/tasks/chat%3A2%3A%3Adeploy']]);
  expect(output.split('\n')).toEqual([
    'chat:2::deploy',
    '  state       failed since 2026-11-21T11:52:00.000Z (8m ago)',
    '              waits for approval, which lapses in 1h: Timeout: no answer··[2Jgotcha·',
    '  run         run-2, token 8',
    '  started     2026-11-21T11:51:00.000Z (9m ago)',
    '  ended       timed_out 2026-11-21T11:52:00.000Z (8m ago)',
    '  error       Timeout: no answer··[2Jgotcha·',
    '  approvable  until 2026-11-21T13:00:00.000Z (in 1h)',
    '  kept        until 2026-11-22T12:00:00.000Z (in 1d), then it is free',
    '  tries       2 since it last succeeded, its holder was gone once in all',
    'history',
    '  2026-11-21T11:51:00.000Z (9m ago)  acquired  run run-2',
    '  2026-11-21T11:52:00.000Z (8m ago)  ended  timed_out  by ann·  run run-2',
  ]);
});

const past = {
  runId: 'r',
  token: 1,
  startedAt: NOW - 9 * MINUTE,
  endedAt: NOW - 5 * MINUTE,
  attempts: 1,
  staleCount: 1,
};
const gone = { ...past, key: 'k', history: [], status: 'interrupted', error: { name: 'E', message: 'e' } };
const states: [TaskView, RegExp][] = [
  [{ ...gone, state: 'stale', stale: 'heal' }, /stale.*5m ago.*free: its holder is gone/],
  [{ ...gone, state: 'stale', stale: 'approve' }, /stale.*5m ago.*waits for approval, its holder is gone/],
  [
    { ...gone, state: 'approved', approvedBy: 'ann', approvedAt: NOW - MINUTE },
    /approved.*1m ago.*free for one, by ann/,
  ],
  [
    { ...gone, state: 'approval_expired', approvableUntil: NOW - 2 * MINUTE },
    /approval_expired.*2m ago.*not approved in time: release/,
  ],
  [{ ...past, key: 'k', history: [], state: 'succeeded', status: 'succeeded' }, /succeeded.*5m ago/],
];
it.each(states)('ls of $state says what it needs', async (task, shown) => {
  expect((await run(['ls'], { tasks: [task], counts: {} })).output).toMatch(shown);
});

it('approve-retry and release name the operator, and go on after a key that is refused', async () => {
  const approve = (_method: string, path: string) =>
    path.includes('bad')
      ? new RefusedError(409, 'The task does not wait for an approval', 'state: found running')
      : { kind: 'approved', by: 'bob', at: NOW };
  const approved = await run(['approve-retry', 'bad', 'a::b', '--by', 'ann'], approve);
  expect(approved.calls).toEqual([
    ['POST', '/v1/tasks/bad/approve-retry', { by: 'ann' }],
    ['POST', '/v1/tasks/a%3A%3Ab/approve-retry', { by: 'ann' }],
  ]);
  expect(approved.output).toBe('a::b: approved by bob: the next one may run it');
  expect(approved.end).toBe('bad: 409: state: found running');

  const released = await run(['release', 'a::b', '--status', 'failed'], { kind: 'ended', state: 'failed' });
  expect(released.calls).toEqual([
    ['POST', '/v1/tasks/a%3A%3Ab/release', { status: 'failed', by: expect.stringMatching(/^.+@.+$/) }],
  ]);
  expect(released.output).toBe('a::b: released, failed');
  expect((await run(['release', 'k', '--status', 'succeeded'], {})).end).toMatch(/cancelled, failed/);
});

it('a service without tasks and a task that does not exist give different errors', async () => {
  const elsewhere = await run(['ls'], new RefusedError(404, 'No such route', 'GET /openapi.json lists the routes.'));
  expect(elsewhere.end).toMatch(/LANEKEEPER_URL.*guard.*7071/);
  const unknown = await run(['show', 'k'], new RefusedError(404, 'No such task', 'key: nothing stands under it'));
  expect(unknown.end).toBe('404: key: nothing stands under it');
});
