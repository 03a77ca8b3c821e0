import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, startBroker, until } from '#testing';
import { expectDecidedOnceInOrder } from '../support/history-check.js';
import { startRoles } from '../support/roles.js';

afterEach(expectNothingLeft);

it('broker away: 503 with Retry-After, nothing stored; broker back: all goes on without a restart of ours (L3)', async () => {
  await using broker = await startBroker();
  await using roles = await startRoles(broker.url);
  const { api, ingress, worker } = roles;
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
  await broker.stop();
  const starting = startRoles(broker.url);
  await broker.restart();
  await using roles = await starting;
  expect(await roles.api.send('s', { text: 'hello' }, { wait: '20s' })).toMatchObject({ status: 200 });
});

it('a stop does not wait for a broker that is away', async () => {
  await using broker = await startBroker();
  await using roles = await startRoles(broker.url);
  const { ingress, worker } = roles;
  await broker.stop();
  await until('the ingress knows', async () => (await fetch(`${ingress.url}/readyz`)).status === 503);
  worker.signal('SIGTERM');
  ingress.signal('SIGTERM');
  expect(await worker.exited).toEqual({ code: 0, signal: null });
  expect(await ingress.exited).toEqual({ code: 0, signal: null });
});
