import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, startBroker, startService, tempDir, until } from '#testing';
import { ApiClient } from '../support/api-client.js';
import { expectDecidedOnceInOrder } from '../support/history-check.js';

afterEach(expectNothingLeft);

it('broker away: 503 with Retry-After, nothing stored; broker back: all goes on without a restart of ours (L3)', async () => {
  await using broker = await startBroker();
  await using dir = await tempDir('roles');
  const env = { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' };
  await using ingress = await startService({ args: ['ingress'], cwd: dir.path, env });
  await using worker = await startService({ args: ['worker'], cwd: dir.path, env });
  const api = new ApiClient(ingress.url ?? '');
  await api.send('s', { id: 'before', text: 'before' }, { wait: '20s' });
  await api.send('s', { id: 'through', text: 'runs through the outage', data: { sleepMs: 1_000 } });
  await until('its turn runs', async () => (await api.session('s')).state === 'running');

  await broker.stop();
  await until('the ingress knows', async () => (await api.get('/readyz')).status === 503);
  expect((await api.get('/healthz')).status).toBe(200);
  for (const id of ['lost-1', 'lost-2']) {
    const refused = await api.send('s', { id, text: id });
    expect(refused).toMatchObject({ status: 503, body: { code: 'broker-unavailable', messageId: id } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  }
  const withoutId = await api.send('s', { text: 'no id of its own' });
  expect(withoutId.body.messageId).toMatch(/^[0-9a-f-]{36}$/);
  for (const path of [api.path('s'), `${api.path('s')}/turns`, `${api.path('s')}/messages/before`]) {
    const read = await api.get(path);
    expect([path, read.status, read.headers.get('retry-after')]).toEqual([path, 503, '2']);
  }

  await broker.restart();
  await until('the ingress is ready', async () => (await api.get('/readyz')).status === 200);
  const after = await api.send('s', { id: 'after', text: 'after' }, { wait: '20s' });
  expect(after).toMatchObject({ status: 200, body: { status: 'succeeded' } });
  const records = await api.decided('s', 3);
  expectDecidedOnceInOrder(records, ['before', 'through', 'after']);
  expect(records.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
  expect([ingress.pid, worker.pid].every((pid) => pid > 0)).toBe(true);
});

it('services that start before their broker wait for it', async () => {
  await using broker = await startBroker();
  await using dir = await tempDir('roles');
  const env = { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' };
  await broker.stop();
  const starting = Promise.all([
    startService({ args: ['ingress'], cwd: dir.path, env }),
    startService({ args: ['worker'], cwd: dir.path, env }),
  ]);
  await broker.restart();
  const [ingress, worker] = await starting;
  try {
    const api = new ApiClient(ingress.url ?? '');
    expect(await api.send('s', { text: 'hello' }, { wait: '20s' })).toMatchObject({ status: 200 });
  } finally {
    await ingress.stop();
    await worker.stop();
  }
});

it('a stop does not wait for a broker that is away', async () => {
  await using broker = await startBroker();
  await using dir = await tempDir('roles');
  const env = { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' };
  await using ingress = await startService({ args: ['ingress'], cwd: dir.path, env });
  await using worker = await startService({ args: ['worker'], cwd: dir.path, env });
  await broker.stop();
  await until('the ingress knows', async () => (await fetch(`${ingress.url}/readyz`)).status === 503);
  worker.signal('SIGTERM');
  ingress.signal('SIGTERM');
  expect(await worker.exited).toEqual({ code: 0, signal: null });
  expect(await ingress.exited).toEqual({ code: 0, signal: null });
});
