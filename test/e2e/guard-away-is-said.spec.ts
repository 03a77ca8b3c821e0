import { afterEach, describe, expect, it } from 'vitest';
import { GuardUnavailableError } from '#guards';
import { expectNothingLeft, until } from '#testing';
import { PATIENT, startGuards, type GuardReplica } from '../support/guards.js';

afterEach(expectNothingLeft);

const SHORT = { withinMs: 400 };
/** Beyond it a guard takes a request that it finds for one of a caller who has given up. */
const LATE_MS = 2_000;

const isReady = async ({ api }: GuardReplica): Promise<boolean> => (await api.get('/readyz')).status === 200;

describe('no guard', () => {
  it('is said within the caller’s bound, and is over without a restart of the caller when one starts', async () => {
    await using guards = await startGuards(0);
    const { client } = guards;
    const request = { requestId: 'r1', runId: 'run' };
    const calls = [
      client.acquire('key', request, SHORT),
      client.renew('key', { token: 1 }, SHORT),
      client.release('key', { token: 1, status: 'failed' }, SHORT),
      client.approve('key', { by: 'ana' }, SHORT),
      client.end('key', { by: 'ana' }, SHORT),
    ];
    for (const outcome of await Promise.allSettled(calls)) {
      const error: unknown = outcome.status === 'rejected' ? outcome.reason : undefined;
      expect(error).toBeInstanceOf(GuardUnavailableError);
      expect(String(error)).toMatch(/within 400 ms.*lanekeeper guard/);
    }
    // One that waits meanwhile is answered as soon as there is a guard.
    const waiting = client.acquire('key', request, PATIENT);
    const first = await guards.start();
    expect(await waiting).toMatchObject({ kind: 'acquired' });
    expect(await client.acquire('key', request)).toEqual(await waiting);

    await first.kill9();
    await expect(client.acquire('key', request, SHORT)).rejects.toThrow(GuardUnavailableError);
    await first.again();
    expect(await client.acquire('key', request, PATIENT)).toEqual(await waiting);
  });

  it('that stops in good order: what it was asked is answered', async () => {
    await using guards = await startGuards(2);
    const asked = Array.from({ length: 200 }, (_, n) =>
      guards.client.acquire(`key ${n}`, { requestId: `r${n}`, runId: 'run' }, PATIENT),
    );
    guards.replica(0).service.signal('SIGTERM');
    const answers = await Promise.all(asked);
    expect(answers.filter(({ kind }) => kind === 'acquired')).toHaveLength(200);
    expect(await guards.replica(0).service.exited).toEqual({ code: 0, signal: null });
  });
});

describe('the broker away', () => {
  it('is 503 with Retry-After over HTTP and unavailable over NATS; nothing is changed, and all goes on when it is back', async () => {
    await using guards = await startGuards(2);
    const { client } = guards;
    const { api } = guards.replica(0);
    const held = await api.acquire('held', { requestId: 'r1', runId: 'run' });
    const before = await api.show('held');
    await guards.broker.stop();
    for (const replica of guards.replicas) {
      await until('the guard knows', async () => !(await isReady(replica)));
      expect((await replica.api.get('/healthz')).status).toBe(200);
    }
    const { token } = held.body;
    const answered: string[] = [];
    const longWait = client.acquire('new', { requestId: 'r0', runId: 'run' }, { withinMs: 3_000 });
    const waited = expect(longWait)
      .rejects.toThrow(GuardUnavailableError)
      .then(() => answered.push('the one who waits for three seconds'));
    const refused = await Promise.all([
      api.acquire('new', { requestId: 'r2', runId: 'run' }),
      api.acquire('held', { requestId: 'r1', runId: 'run' }),
      api.renew('held', { token }),
      api.release('held', { token, status: 'failed' }),
      api.release('held', { by: 'ana' }),
      api.approve('held', 'ana'),
      api.get(api.path('held')),
      api.get('/v1/tasks'),
    ]);
    for (const { status, body, headers } of refused) {
      expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'broker-unavailable', '2']);
    }
    // At once: not after the time that a broker has for an answer.
    answered.push('all others');
    await waited;
    expect(answered[0]).toBe('all others');
    await expect(client.acquire('new', { requestId: 'r3', runId: 'run' }, SHORT)).rejects.toThrow(
      GuardUnavailableError,
    );
    await expect(client.renew('held', { token }, SHORT)).rejects.toThrow(GuardUnavailableError);

    await guards.broker.restart();
    for (const replica of guards.replicas) await until('the guard is ready', () => isReady(replica));
    await guards.connection.whenUp();
    // What lay in a buffer would have got here before this.
    expect(await client.acquire('after', { requestId: 'r4', runId: 'run' }, PATIENT)).toMatchObject({
      kind: 'acquired',
    });
    expect(await api.show('held')).toEqual(before);
    expect(await api.show('new')).toBeUndefined();
    expect(await client.renew('held', { token }, PATIENT)).toMatchObject({ kind: 'renewed' });
    for (const replica of guards.replicas) {
      await until('each replica knows of both', async () => (await replica.api.list()).counts['running'] === 2);
    }
  });
});

describe('a guard that was stopped for longer than its callers wait', () => {
  it('gives no task to callers who have given up, over NATS or HTTP', async () => {
    await using guards = await startGuards(1);
    const { client } = guards;
    const { api, service } = guards.replica(0);
    await client.acquire('held', { requestId: 'r1', runId: 'run' }, PATIENT);
    service.signal('SIGSTOP');
    const overNats = client.acquire('over NATS', { requestId: 'r2', runId: 'given up' }, SHORT);
    const hangUp = new AbortController();
    const overHttp = api.post(api.path('over HTTP', 'acquire'), { requestId: 'r3', runId: 'given up' }, hangUp.signal);
    await expect(overNats).rejects.toThrow(GuardUnavailableError);
    const givenUpAt = Date.now();
    hangUp.abort();
    await expect(overHttp).rejects.toThrow();
    await until('no clock of another machine could say otherwise', () => Date.now() > givenUpAt + LATE_MS);
    service.signal('SIGCONT');

    // Requests are taken in the order in which they came.
    for (const [key, other] of [['over NATS', 'over HTTP'] as const, ['over HTTP', 'over NATS'] as const]) {
      expect(await client.acquire(key, { requestId: `next of ${key}`, runId: 'next' }, PATIENT)).toMatchObject({
        kind: 'acquired',
      });
      expect((await api.show(key))?.history).toMatchObject([{ what: 'acquired', runId: 'next' }]);
      expect((await api.show(other))?.runId).not.toBe('given up');
    }
    expect(await api.show('held')).toMatchObject({ state: 'running' });
  });
});
