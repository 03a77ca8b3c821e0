import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  deadDrop,
  deadList,
  deadMessage,
  deadRetry,
  sessionTurns,
  sessionView,
  taskApproval,
  taskEnd,
  taskList,
  taskView,
  workerList,
} from '#contracts';
import { documentAnswer } from '#http';
import { expectNothingLeft, startService, tempDir, until } from '#testing';
import { requestJson } from '../support/api-client.js';
import { expectDocumented } from '../support/documented.js';
import { startUp, type RunningUp } from '../support/lanekeeper-up.js';

let up: RunningUp;

beforeAll(async () => {
  up = await startUp();
});
afterAll(async () => {
  await up[Symbol.asyncDispose]();
  await expectNothingLeft();
});

describe('the HTTP API', () => {
  it('serves its OpenAPI document, with the body’s schema', async () => {
    const { status, body } = await up.api.get('/openapi.json');
    expect(status).toBe(200);
    expect(body.openapi).toMatch(/^3\./);
    expect(Object.keys(body.paths).toSorted()).toEqual([
      '/healthz',
      '/readyz',
      '/v1/agents/{agent}/messages',
      '/v1/agents/{agent}/sessions/{session}',
      '/v1/agents/{agent}/sessions/{session}/cancel',
      '/v1/agents/{agent}/sessions/{session}/messages',
      '/v1/agents/{agent}/sessions/{session}/messages/{messageId}',
      '/v1/agents/{agent}/sessions/{session}/messages/{messageId}/cancel',
      '/v1/agents/{agent}/sessions/{session}/turns',
      '/v1/dead',
      '/v1/dead/{deadId}',
      '/v1/dead/{deadId}/drop',
      '/v1/dead/{deadId}/retry',
      '/v1/runs/{runId}/cancel',
      '/v1/tasks',
      '/v1/tasks/{key}',
      '/v1/tasks/{key}/acquire',
      '/v1/tasks/{key}/approve-retry',
      '/v1/tasks/{key}/release',
      '/v1/tasks/{key}/renew',
      '/v1/workers',
    ]);
    const post = body.paths['/v1/agents/{agent}/sessions/{session}/messages'].post;
    const bodyOf = (route: typeof post) => route.requestBody.content['application/json'].schema;
    expect(Object.keys(bodyOf(post).properties).toSorted()).toEqual([
      'author',
      'channel',
      'data',
      'id',
      'replyTo',
      'sentAt',
      'sequence',
      'strategy',
      'task',
      'text',
      'thread',
    ]);
    const byPlace = body.paths['/v1/agents/{agent}/messages'].post;
    expect(bodyOf(byPlace).properties).toEqual(bodyOf(post).properties);
    expect([bodyOf(post).required, bodyOf(byPlace).required]).toEqual([undefined, ['channel']]);
  });

  it('documents what operators are answered, and the limit of their lists', async () => {
    const { paths } = (await up.api.get('/openapi.json')).body;
    const answers = [
      ['/v1/workers', 'get', 200, workerList],
      ['/v1/dead', 'get', 200, deadList],
      ['/v1/dead/{deadId}', 'get', 200, deadMessage],
      ['/v1/dead/{deadId}/retry', 'post', 202, deadRetry],
      ['/v1/dead/{deadId}/drop', 'post', 200, deadDrop],
      ['/v1/tasks', 'get', 200, taskList],
      ['/v1/tasks/{key}', 'get', 200, taskView],
      ['/v1/tasks/{key}/approve-retry', 'post', 200, taskApproval],
      ['/v1/tasks/{key}/release', 'post', 200, taskEnd],
      ['/v1/agents/{agent}/sessions/{session}', 'get', 200, sessionView],
      ['/v1/agents/{agent}/sessions/{session}/turns', 'get', 200, sessionTurns],
    ] as const;
    for (const [path, method, status, schema] of answers) {
      const { content } = paths[path][method].responses[status];
      expect(content['application/json'].schema, path).toEqual((documentAnswer(200, '', schema) as any).schema);
    }
    for (const path of ['/v1/dead', '/v1/tasks', '/v1/agents/{agent}/sessions/{session}/turns']) {
      const limit = paths[path].get.parameters.find(({ name }: { name: string }) => name === 'limit');
      expect(limit.schema, path).toEqual({ type: 'integer', minimum: 1, maximum: 200, default: 20 });
    }
  });

  it('answers operators as it is documented', async () => {
    const { api } = up;
    for (const id of ['dead one', 'dead two']) {
      const message = { id, text: 'x', data: { fail: 'on purpose' }, author: { id: 'a' }, sequence: 1 };
      await api.send(id, message, { wait: '20s' });
    }
    await api.send('busy', { id: 'b', text: 'x', data: { sleepMs: 60_000 }, task: 'held' });
    await api.send('busy', { id: 'c', text: 'waits' });
    const list = (await api.get('/v1/dead?limit=1')).body;
    expectDocumented(deadList, list);
    const dead = `${api.url}/v1/dead/${encodeURIComponent(list.dead[0].deadId)}`;
    expectDocumented(deadMessage, (await api.get(dead)).body);
    expectDocumented(deadRetry, (await requestJson(`${dead}/retry`, {})).body);
    const [other] = (await api.get('/v1/dead?session=dead%20two')).body.dead;
    expectDocumented(deadDrop, (await requestJson(`${api.url}/v1/dead/${other.deadId}/drop`, {})).body);

    const busy = await until('its turn runs', async () => {
      const view = await api.session('busy');
      return view.running !== undefined && view.tasks.length > 0 ? view : undefined;
    });
    expectDocumented(sessionView, busy);
    expectDocumented(sessionView, await api.session('dead one'));
    expectDocumented(sessionTurns, (await api.get(`${api.path('dead one')}/turns`)).body);
    expectDocumented(workerList, (await api.get('/v1/workers')).body);

    const task = (what = '') => `${api.url}/v1/tasks/${encodeURIComponent('a::b')}${what}`;
    const holding = { requestId: 'r', runId: 'r', owner: 'o', meta: { n: 1 } };
    const { token } = (await requestJson(task('/acquire'), holding)).body;
    const error = { name: 'E', message: 'e' };
    expectDocumented(taskEnd, (await requestJson(task('/release'), { token, status: 'failed', error })).body);
    expectDocumented(taskApproval, (await requestJson(task('/approve-retry'), { by: 'ann' })).body);
    expectDocumented(taskView, (await api.get(task())).body);
    expectDocumented(taskList, (await api.get('/v1/tasks')).body);
    expectDocumented(taskEnd, (await requestJson(task('/release'), { by: 'ann' })).body);
    await requestJson(`${api.path('busy')}/cancel`, {});
  });

  it('answers a failed turn as such, and goes on', async () => {
    const failed = await up.api.send('f', { id: 'bad', text: 'x', data: { fail: 'on purpose' } }, { wait: '20s' });
    expect(failed).toMatchObject({
      status: 200,
      body: { status: 'failed', decision: 'dead', error: { name: 'Error', message: 'on purpose' }, replies: [] },
    });
    expect((await up.api.message('f', 'bad')).body).toMatchObject({
      disposition: 'decided',
      decision: 'dead',
      runId: failed.body.runId,
    });
    const next = await up.api.send('f', { text: 'next' }, { wait: '20s' });
    expect(next.body).toMatchObject({ status: 'succeeded', replies: [{ text: 'next' }] });
  });

  it('answers 202 when the turn is not over in time, and ends the wait with the caller', async () => {
    const slow = { text: 'x', data: { sleepMs: 400 } };
    expect(await up.api.send('w', slow, { wait: '50ms' })).toMatchObject({ status: 202, body: { duplicate: false } });
    const gone = new AbortController();
    const waiting = fetch(`${up.api.path('w')}/messages?wait=10m`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"text": "x", "data": {"sleepMs": 100000}}',
      signal: gone.signal,
    });
    gone.abort();
    await expect(waiting).rejects.toThrow();
  });

  it('lists turns newest first, as many as asked for', async () => {
    for (const id of ['a', 'b', 'c']) await up.api.send('l', { id, text: id }, { wait: '20s' });
    const turns = await up.api.turns('l', 2);
    expect(turns.map(({ messages }) => messages[0]?.id)).toEqual(['c', 'b']);
    expect(turns[0]).toMatchObject({ kind: 'turn', upto: expect.any(Number), done: [], run: null, attempt: 1 });
  });

  it('finds what was decided long ago, by id and for a repetition', async () => {
    const ids = Array.from({ length: 40 }, (_, i) => `m${i}`);
    for (const id of ids) await up.api.send('long', { id, text: id }, { wait: '20s' });
    const [first] = (await up.api.turns('long')).slice(-1);
    expect(await up.api.turns('long')).toHaveLength(40);
    expect((await up.api.message('long', 'm0')).body).toMatchObject({ decision: 'handled', runId: first?.runId });
    const again = await up.api.send('long', { id: 'm0', text: 'm0' }, { wait: '20s' });
    expect(again.body).toMatchObject({ duplicate: true, runId: first?.runId, replies: [{ text: 'm0' }] });
    expect(await up.api.message('long', 'nobody')).toMatchObject({ status: 404 });
  });

  it('a session without messages is idle; an unknown message or agent is 404 with what to do', async () => {
    expect(await up.api.session('never')).toMatchObject({
      state: 'idle',
      depth: 0,
      oldestMs: null,
      tasks: [],
      locks: [],
    });
    expect(await up.api.message('never', 'x')).toMatchObject({ status: 404, body: { code: 'not-found' } });
    const unknown = await up.api.get('/v1/agents/nobody/sessions/s');
    expect(unknown).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining('wanted one of main, echo') },
    });
    expect(await up.api.get('/nowhere')).toMatchObject({ status: 404, body: { code: 'not-found' } });
  });

  const json = { 'content-type': 'application/json' };
  const bad: [string, RequestInit & { query?: string }, number, RegExp][] = [
    ['no JSON', { headers: json, body: '{"text":' }, 400, /JSON/],
    ['no body', { headers: json }, 400, /body/],
    ['an empty object', { headers: json, body: '{}' }, 422, /text/],
    ['a list', { headers: json, body: '[]' }, 422, /body/],
    ['another content type', { headers: { 'content-type': 'text/plain' }, body: 'hello' }, 415, /application\/json/],
    ['a form', { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'text=x' }, 415, /json/],
    ['an unknown field', { headers: json, body: '{"txt":"x"}' }, 422, /did you mean text/],
    ['a field of a later version', { headers: json, body: '{"text":"x","priority":"high"}' }, 422, /priority/],
    ['a text that is too long', { headers: json, body: JSON.stringify({ text: 'x'.repeat(262_145) }) }, 413, /text/],
    ['a body that is too large', { headers: json, body: JSON.stringify({ data: 'x'.repeat(1_100_000) }) }, 413, /body/],
    [
      'a stored body that is too large',
      { headers: json, body: JSON.stringify({ data: 'x'.repeat(900_000) }) },
      413,
      /body/,
    ],
    ['a bad wait', { headers: json, body: '{"text":"x"}', query: '?wait=soon' }, 400, /wait/],
    [
      'two ids',
      { headers: { ...json, 'idempotency-key': 'a' }, body: '{"id":"b","text":"x"}' },
      400,
      /Idempotency-Key/,
    ],
    ['an event stream', { headers: { ...json, accept: 'text/event-stream' }, body: '{"text":"x"}' }, 406, /Accept/],
  ];
  it.each(bad)(
    '%s is a problem that names its field, and nothing is stored',
    async (_title, { query = '', ...init }, status, names) => {
      const response = await fetch(`${up.api.path('bad')}/messages${query}`, { method: 'POST', ...init });
      const body = (await response.json()) as { status: number; detail: string };
      expect([response.status, body.status]).toEqual([status, status]);
      expect(response.headers.get('content-type')).toContain('application/problem+json');
      expect(body.detail).toMatch(names);
      expect(await up.api.session('bad')).toMatchObject({ state: 'idle', depth: 0 });
      expect(await up.api.turns('bad')).toEqual([]);
    },
  );
});

describe('starts that are refused', () => {
  const refused: [string, string[], NodeJS.ProcessEnv, RegExp][] = [
    ['a host that is not loopback', ['up'], { LANEKEEPER_HTTP_HOST: '0.0.0.0' }, /loopback.*tokens/s],
    ['a setting that is none', ['up'], { LANEKEEPER_HTTP_PORT: 'eighty' }, /LANEKEEPER_HTTP_PORT/],
    ['a role without a broker', ['worker'], {}, /LANEKEEPER_NATS_URL.*lanekeeper up/s],
    ['a command that is none', ['upp'], {}, /upp/],
  ];
  it.each(refused)('%s: one message, no stack, exit code 1', async (_title, args, env, message) => {
    await using dir = await tempDir('refused');
    const start = startService({ args, env: { LANEKEEPER_HTTP_PORT: '0', ...env }, cwd: dir.path });
    const text = await start.then(
      () => 'it started',
      (error: Error) => error.message,
    );
    expect(text).toMatch(/exit code 1/);
    expect(text).toMatch(message);
    expect(text).not.toMatch(/\n\s+at /);
  });

  it('a port that is taken names the setting', async () => {
    await using dir = await tempDir('refused');
    const port = new URL(up.api.url).port;
    const start = startService({ args: ['up'], env: { LANEKEEPER_HTTP_PORT: port }, cwd: dir.path });
    await expect(start).rejects.toThrow(
      /http\.port: cannot listen on 127\.0\.0\.1:\d+ \(EADDRINUSE\).*LANEKEEPER_HTTP_PORT/s,
    );
  });
});
