import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packageRoot } from '#config';
import { expectNothingLeft } from '#testing';
import { ApiClient } from '../support/api-client.js';
import { startGuardRole, type RunningGuardRole } from '../support/guard-role.js';

let role: RunningGuardRole;

beforeAll(async () => {
  role = await startGuardRole();
});
afterAll(async () => {
  await role[Symbol.asyncDispose]();
  await expectNothingLeft();
});

/** What the runtime gives a hook; it takes none after that. */
const RUNTIME_WAITS_MS = 15_000;
const script = join(packageRoot(), 'docs/examples/before-tool-call.mjs');

/** Runs the script as a runtime does. One that fails, is late, or answers no JSON fails the test. */
function hook(name: string, event: unknown, env: NodeJS.ProcessEnv = {}): Promise<Record<string, any>> {
  return new Promise((resolve, reject) => {
    const options = { timeout: RUNTIME_WAITS_MS, env: { LANEKEEPER_URL: role.url, ...env } };
    const child = execFile(process.execPath, [script, name], options, (error, stdout, stderr) => {
      if (error !== null) return reject(error);
      try {
        resolve({ ...JSON.parse(stdout), stderr });
      } catch (cause) {
        reject(new Error(`found ${JSON.stringify(stdout)}, wanted JSON`, { cause }));
      }
    });
    if (event !== 'never') child.stdin?.end(typeof event === 'string' ? event : JSON.stringify(event));
  });
}

function call(runId: string, toolCallId: string, more: object = {}) {
  return { sessionKey: 'agent:main:main', runId, toolCallId, toolName: 'exec', params: { command: 'deploy' }, ...more };
}

it('a free task: the tool may run; the same hook again gets the same holding; after it the task is free (G1)', async () => {
  const event = call('run-1', 'call_0', { sessionKey: 'free' });
  const first = await hook('before_tool_call', event);
  expect(first).toMatchObject({ block: false, task: { key: 'free::exec', token: expect.any(Number) } });
  expect(await hook('before_tool_call', event)).toEqual(first);
  expect(await hook('renew', event)).toMatchObject({ ok: true, expiresAt: expect.any(Number) });
  expect(await hook('after_tool_call', event)).toMatchObject({ ok: true, state: 'succeeded' });
  // The same call once more is not a new one; another call of the same run is.
  expect(await hook('before_tool_call', event)).toMatchObject({
    block: true,
    blockReason: expect.stringMatching(/free::exec is done/),
  });
  const next = await hook('before_tool_call', call('run-1', 'call_1', { sessionKey: 'free' }));
  expect(next).toMatchObject({ block: false });
  expect(next['task'].token).toBeGreaterThan(first['task'].token);
});

it('a running task: every other call is told who runs it since when, always in the same words (G1)', async () => {
  const events = ['run-1', 'run-2', 'run-3'].map((runId) => call(runId, 'call_0', { sessionKey: 'busy' }));
  const answers = await Promise.all(events.map((event) => hook('before_tool_call', event)));
  const winner = answers.findIndex(({ block }) => block === false);
  const { startedAt } = (await new ApiClient(role.url).get('/v1/tasks/busy::exec')).body;
  const since = new Date(startedAt).toISOString();
  const blocked = {
    block: true,
    blockReason: `busy::exec is already_running: run run-${winner + 1}/call_0, since ${since}; do not repeat it`,
    stderr: '',
  };
  expect(answers.toSpliced(winner, 1)).toEqual([blocked, blocked]);
  // Renewed or not, the words are the same: nothing in them goes with the time.
  await hook('renew', events[winner]);
  expect(await hook('before_tool_call', call('run-4', 'call_0', { sessionKey: 'busy' }))).toEqual(blocked);
  expect(await hook('after_tool_call', events[(winner + 1) % 3])).toMatchObject({
    ok: false,
    reason: expect.stringMatching(/not held/),
  });
});

it('a failed task needs approval, and that lets one through (G2)', async () => {
  const event = (n: number) => call(`run-${n}`, 'call_0', { sessionKey: 'failing' });
  await hook('before_tool_call', event(1));
  expect(await hook('after_tool_call', { ...event(1), error: 'exit code 1' })).toMatchObject({ state: 'failed' });
  for (const n of [1, 2]) {
    const needs = /failing::exec needs approval of a person: run run-1\/call_0 failed at \d{4}-/;
    expect(await hook('before_tool_call', event(n))).toMatchObject({
      block: true,
      blockReason: expect.stringMatching(needs),
    });
  }
  await role.ask('failing::exec', 'approve-retry', { by: 'ann' });
  const both = await Promise.all([2, 3].map((n) => hook('before_tool_call', event(n))));
  expect(both.map(({ block }) => block).toSorted()).toEqual([false, true]);
});

it('what a run still holds at its end is freed, or, when it did not end well, waits for approval', async () => {
  const one = call('run-1', 'call_0', { sessionKey: 'ending' });
  const two = { ...one, toolCallId: 'call_1', toolName: 'sessions_spawn' };
  for (const event of [one, two]) await hook('before_tool_call', event);
  const end = (runId: string, success: boolean) => hook('agent_end', { sessionKey: 'ending', runId, success });
  expect(await end('run-2', false)).toMatchObject({ ok: true, released: [] });
  const keys = ['ending::exec', 'ending::sessions_spawn'];
  expect(await end('run-1', true)).toMatchObject({ ok: true, released: keys });
  await hook('before_tool_call', { ...one, runId: 'run-3' });
  expect(await end('run-3', false)).toMatchObject({ ok: true, released: ['ending::exec'] });
  const blocked = await hook('before_tool_call', { ...one, runId: 'run-4' });
  expect(blocked['blockReason']).toMatch(/needs approval.*run-3/);
});

it('a parameter may tell the tasks of one tool apart; tools that are not guarded never ask the guard', async () => {
  const env = { GUARDED_TOOLS: 'exec:command, sessions_spawn' };
  const run = async (command: unknown, n: number) => {
    const event = call(`run-${n}`, 'call_0', { sessionKey: 'named', params: { command } });
    return (await hook('before_tool_call', event, env))['task']?.key;
  };
  expect(await run('make test', 1)).toBe('named::exec make test');
  expect(await run('make test', 2)).toBeUndefined();
  const long = 'x'.repeat(5_000);
  const others = [await run(`${long}1`, 3), await run(`${long}2`, 4), await run('a::b\u0007', 5), await run(['a'], 6)];
  expect(new Set(others).size).toBe(4);
  expect(others).not.toContain(undefined);
  const unguarded = await hook('before_tool_call', { toolName: 'read' }, { LANEKEEPER_URL: 'http://127.0.0.1:2' });
  expect(unguarded).toEqual({ block: false, stderr: '' });
});

it('no guard, one that never answers, one that is none, and an event that never ends: no, in time', async () => {
  const silent = createServer(() => {});
  const foreign = createServer((_request, response) => void response.end('{"ok": true}'));
  const addressOf = async (server: typeof silent): Promise<string> => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const [hanging, other] = [await addressOf(silent), await addressOf(foreign)];
  const nobody = 'http://127.0.0.1:2';
  const event = call('run-1', 'call_0');
  try {
    const unavailable = {
      block: true,
      blockReason: expect.stringMatching(/^the task guard could not be asked within 10000 ms/),
    };
    const [away, late, foreigner, endless, after] = await Promise.all([
      hook('before_tool_call', event, { LANEKEEPER_URL: nobody }),
      hook('before_tool_call', event, { LANEKEEPER_URL: hanging }),
      hook('before_tool_call', event, { LANEKEEPER_URL: other }),
      hook('before_tool_call', 'never'),
      hook('after_tool_call', event, { LANEKEEPER_URL: nobody }),
    ]);
    expect(away).toMatchObject({ ...unavailable, stderr: expect.stringMatching(/ECONNREFUSED.*trying again/) });
    expect(late).toMatchObject({ ...unavailable, stderr: expect.stringMatching(/trying again/) });
    expect(endless).toMatchObject(unavailable);
    expect(foreigner).toMatchObject({ block: true, blockReason: expect.stringMatching(/no guard gives/) });
    expect(after).toMatchObject({ ok: false, reason: unavailable.blockReason });
  } finally {
    for (const server of [silent, foreign]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
});

const rubbish: [string, unknown, RegExp][] = [
  ['nothing', '', /JSON/],
  ['no JSON', 'block: false', /JSON/],
  ['no object', 'null', /no object/],
  ['no tool', { sessionKey: 's', runId: 'r', toolCallId: 'c' }, /toolName/],
  ['no session', { toolName: 'exec', runId: 'r', toolCallId: 'c' }, /sessionKey/],
  ['no run', { toolName: 'exec', sessionKey: 's', toolCallId: 'c' }, /runId/],
  ['no id of the call', { toolName: 'exec', sessionKey: 's', runId: 'r' }, /toolCallId/],
  ['a session that is no key', call('run-1', 'call_0', { sessionKey: 'a\u0007' }), /422: key/],
];
it.each(rubbish)('an event with %s: no, with the reason', async (_title, event, reason) => {
  expect(await hook('before_tool_call', event)).toMatchObject({
    block: true,
    blockReason: expect.stringMatching(reason),
  });
});

it('a hook that is none: no', async () => {
  expect(await hook('before_tool', call('r', 'c'))).toMatchObject({
    block: true,
    blockReason: expect.stringMatching(/none of before_tool_call/),
  });
});
