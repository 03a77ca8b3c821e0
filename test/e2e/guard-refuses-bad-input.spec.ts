import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GuardReply } from '#contracts';
import { expectNothingLeft } from '#testing';
import {
  BAD_TASK_CALLS,
  BAD_TASK_REQUESTS,
  FAILED,
  HELD,
  type BadTaskCall,
  type BadTaskRequest,
} from '../support/bad-task-inputs.js';
import { names, startGuards, type Guards } from '../support/guards.js';

let guards: Guards;
let pid: number;
let before: unknown;

beforeAll(async () => {
  guards = await startGuards(1);
  const { api, service } = guards.replica(0);
  pid = service.pid;
  await api.acquire(HELD, { requestId: 'r', runId: 'first run' });
  const { body } = await api.acquire(FAILED, { requestId: 'r', runId: 'first run' });
  await api.release(FAILED, { token: body.token, status: 'failed' });
  before = await everything();
});
afterAll(async () => {
  await guards[Symbol.asyncDispose]();
  await expectNothingLeft();
});

const everything = async () => (await guards.replica(0).api.list('?limit=200')).tasks;

interface RawAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** By node:http, since `fetch` mends or refuses some of what has to arrive as it is. */
function send({ method = 'POST', path, headers = {}, body }: BadTaskRequest): Promise<RawAnswer> {
  const { hostname, port } = new URL(guards.replica(0).url);
  const target = path ?? `/v1/tasks/${encodeURIComponent(HELD)}/acquire`;
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path: target, headers, agent: false }, (response) => {
      const type = response.headers['content-type'] ?? '';
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, type, body: answer }), reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function ask({ operation, payload }: Pick<BadTaskCall, 'operation' | 'payload'>): Promise<GuardReply<unknown>> {
  const reply = await guards.connection.nc.request(names.guardSubject(operation), payload, { timeout: 20_000 });
  return reply.json<GuardReply<unknown>>();
}

describe('a bad request over HTTP is a problem that names what is wrong, and changes nothing', () => {
  it.each(BAD_TASK_REQUESTS.map((row) => [row.title, row] as const))('%s', async (_title, row) => {
    const answer = await send(row);
    expect([answer.status, answer.type, answer.body]).toEqual([
      ...[row.status, expect.stringContaining('application/problem+json'), expect.stringMatching(row.names)],
    ]);
    const problem = JSON.parse(answer.body) as { detail: string };
    expect(problem).toMatchObject({ status: row.status, type: expect.stringMatching(/^urn:lanekeeper:problem:/) });
    expect(problem.detail).toMatch(row.names);
    expect(answer.body).not.toMatch(/\n\s+at |node_modules/);
    expect(await everything()).toEqual(before);
  });
});

describe('a bad request over NATS is refused in words that name what is wrong, and changes nothing', () => {
  it.each(BAD_TASK_CALLS.map((row) => [row.title, row] as const))('%s', async (_title, row) => {
    const reply = await ask(row);
    expect(reply).toEqual({ ok: false, code: 'refused', message: expect.stringMatching(row.names) });
    expect(JSON.stringify(reply)).not.toMatch(/\n\s+at |node_modules/);
    expect(await everything()).toEqual(before);
  });
});

it('the process lives, and takes what is right at the very border', async () => {
  const { api, service } = guards.replica(0);
  expect(service.pid).toBe(pid);
  const good = [
    ['a key of colons', '::', {}],
    ['a key of 768 bytes', '🙂'.repeat(192), {}],
    ['a key with anything', 'a b/c?d#e%f*.>::"é"\\', {}],
    ['the shortest TTL', 'shortest', { ttlMs: 1_000, stale: 'approve' }],
    ['meta of 8 KiB', 'meta', { meta: 'x'.repeat(8_190) }],
    ['meta of 64 levels', 'nested', { meta: JSON.parse('['.repeat(64) + ']'.repeat(64)) as unknown }],
    ['a session of the longest name', 'long run', { runId: 'x'.repeat(2_048), owner: 'y'.repeat(2_048) }],
  ] as const;
  for (const [title, key, more] of good) {
    const { status, body } = await api.acquire(key, { requestId: 'r', runId: 'run', ...more });
    expect([title, status, body.kind]).toEqual([title, 200, 'acquired']);
    expect(await api.show(key)).toMatchObject({ key, state: 'running' });
    const released = await api.release(key, { token: body.token, status: 'succeeded', result: 'x'.repeat(65_534) });
    expect([title, released.status]).toEqual([title, 200]);
  }
});

describe('a value that no guard wrote', () => {
  const foreign: [string, string, string][] = [
    ['a text', 'foreign::text', 'hello'],
    ['an empty object', 'foreign::object', '{}'],
    ['an entry of a later version', 'foreign::later', '{"v":2,"state":"running"}'],
    ['an entry that lacks its end', 'foreign::half', '{"v":1,"key":"foreign::half","state":"running","tok'],
  ];

  it.each(foreign)(
    '%s: its key answers an error that names the remedy, and other keys go on',
    async (_title, key, value) => {
      const { api } = guards.replica(0);
      const written = await guards.bucket.write(names.taskKey(key), value, { expected: 0 });
      const remedy = /a value that no guard has written.*remove the key/;
      const answers = [
        await api.acquire(key, { requestId: 'r', runId: 'run' }),
        await api.renew(key, { token: 1 }),
        await api.approve(key, 'ana'),
        await api.release(key, { by: 'ana' }),
        await api.get(api.path(key)),
      ];
      for (const { status, body } of answers) {
        expect([status, body.code, body.detail]).toEqual([500, 'task-unreadable', expect.stringMatching(remedy)]);
      }
      const payload = JSON.stringify({ key, request: { requestId: 'r', runId: 'run' } });
      expect(await ask({ operation: 'acquire', payload })).toMatchObject({
        ...{ ok: false, message: expect.stringMatching(remedy) },
      });
      const stands = await guards.bucket.read(names.taskKey(key));
      expect(stands).toMatchObject({ value, revision: written.kind === 'written' ? written.revision : undefined });
      // It is no task, and does not hide those that are.
      const listed = (await api.list('?limit=200')).tasks.map((task) => task.key);
      expect(listed).not.toContain(key);
      expect(listed).toContain(HELD);
      expect((await api.acquire(`${key} beside`, { requestId: 'r', runId: 'run' })).body.kind).toBe('acquired');
      // The remedy works.
      await guards.bucket.remove(names.taskKey(key), stands?.revision ?? 0);
      expect((await api.acquire(key, { requestId: 'r', runId: 'run' })).body.kind).toBe('acquired');
    },
  );

  it('under a name that no key is written as: it belongs to no session, and blocks no other task', async () => {
    const { api } = guards.replica(0);
    for (const key of ['a.b.c.d', 'lower=3a', '=', 'plain=ZZ']) {
      await guards.bucket.write(key, '{"v":1}', { expected: 0 });
    }
    expect((await api.list('?limit=200')).tasks.map((task) => task.key)).toContain(HELD);
    expect((await api.acquire('after them', { requestId: 'r', runId: 'run' })).body.kind).toBe('acquired');
    expect(guards.replica(0).service.pid).toBe(pid);
  });
});
