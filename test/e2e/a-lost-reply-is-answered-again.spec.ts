import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AcquireAnswer, TaskView } from '#contracts';
import { expectNothingLeft, startFaultProxy, until } from '#testing';
import { names, PATIENT, startGuards, TaskApi, type Guards } from '../support/guards.js';

let guards: Guards;

beforeAll(async () => {
  guards = await startGuards(2);
});
afterAll(async () => {
  await guards[Symbol.asyncDispose]();
  await expectNothingLeft();
});

const NOBODY = 'nobody.listens.here';

/** Asks over NATS as one whose answer gets lost does. */
function askInVain(operation: string, key: string, request: object): void {
  const call = { key, request, validUntil: Date.now() + 10_000 };
  guards.connection.nc.publish(names.guardSubject(operation), JSON.stringify(call), { reply: NOBODY });
}

/** The same over HTTP: the guard answers, and the answer is lost. Resolves when what was asked for is done. */
async function postInVain(path: string, body: object, isDone: () => Promise<boolean>): Promise<void> {
  await using proxy = await startFaultProxy(Number(new URL(guards.replica(0).url).port));
  proxy.dropFromServer();
  const answer = new TaskApi(() => `http://127.0.0.1:${proxy.port}`).post(path, body);
  const failure = expect(answer).rejects.toThrow();
  await until('the guard has done it', isDone);
  proxy.cutAll();
  await failure;
}

const show = (key: string): Promise<TaskView | undefined> => guards.replica(1).api.show(key);
const untilState = (key: string, state: string): Promise<TaskView> =>
  until(`${key} is ${state}`, async () => {
    const task = await show(key);
    return task?.state === state ? task : undefined;
  });

const at = (n: number) => guards.replica(n).api;

async function acquired(key: string, requestId: string, runId = 'run'): Promise<AcquireAnswer & { token: number }> {
  const answer = await guards.client.acquire(key, { requestId, runId }, PATIENT);
  if (answer.kind !== 'acquired') throw new Error(`${key} was to be free, and is ${answer.kind}`);
  return answer;
}

describe('an acquire whose answer was lost', () => {
  it('over NATS: the same requestId gets the answer that was lost, from any replica', async () => {
    const request = { requestId: 'r1', runId: 'run' };
    askInVain('acquire', 'lost over NATS', request);
    const { token, startedAt, expiresAt } = await untilState('lost over NATS', 'running');
    const answer = { kind: 'acquired', token, startedAt, expiresAt };
    expect(await guards.client.acquire('lost over NATS', request)).toEqual(answer);
    for (const { api } of guards.replicas) expect((await api.acquire('lost over NATS', request)).body).toEqual(answer);
    expect((await show('lost over NATS'))?.history).toMatchObject([{ what: 'acquired' }]);
  });

  it('over HTTP: the same requestId gets the answer that was lost, from any replica', async () => {
    const request = { requestId: 'r1', runId: 'run' };
    const key = 'lost over HTTP';
    await postInVain(at(0).path(key, 'acquire'), request, async () => (await show(key)) !== undefined);
    const { token, startedAt, expiresAt } = await untilState(key, 'running');
    const answer = { kind: 'acquired', token, startedAt, expiresAt };
    for (const { api } of guards.replicas) expect((await api.acquire(key, request)).body).toEqual(answer);
    expect(await guards.client.acquire(key, request)).toEqual(answer);
    expect((await show(key))?.history).toMatchObject([{ what: 'acquired' }]);
  });

  it('is answered as it was at first, also after a renewal', async () => {
    const first = await acquired('renewed since', 'r1');
    expect((await at(0).renew('renewed since', { token: first.token, ttlMs: 3_600_000 })).status).toBe(200);
    expect(await acquired('renewed since', 'r1')).toEqual(first);
  });

  it('the same run with another requestId is told that its own holding runs: a zombie and its re-run share no token', async () => {
    const { startedAt, expiresAt } = (await acquired('own', 'r1')) as { startedAt: number; expiresAt: number };
    const own = { kind: 'already_running', runId: 'run', startedAt, expiresAt, own: true };
    expect(await guards.client.acquire('own', { requestId: 'r2', runId: 'run' })).toEqual(own);
    expect((await at(0).acquire('own', { requestId: 'r3', runId: 'run' })).body).toEqual(own);
  });
});

describe('a release or an approval whose answer was lost', () => {
  it.each(['succeeded', 'failed', 'cancelled'] as const)('%s: said again, it is answered again', async (status) => {
    for (const way of ['NATS', 'HTTP']) {
      const key = `released as ${status} over ${way}`;
      const { token } = await acquired(key, 'r1');
      const request = { token, status };
      if (way === 'NATS') askInVain('release', key, request);
      else await postInVain(at(0).path(key, 'release'), request, async () => (await show(key))?.state === status);
      const before = await untilState(key, status);
      expect(await guards.client.release(key, request)).toEqual({ kind: 'released', state: status });
      expect((await at(1).release(key, request)).body).toEqual({ kind: 'released', state: status });
      expect(await show(key)).toEqual(before);
    }
  });

  it('an approval said again is the first one, and lets one through', async () => {
    const { token } = await acquired('approved', 'r1');
    await guards.client.release('approved', { token, status: 'failed' });
    askInVain('approve-retry', 'approved', { by: 'ana' });
    const { approvedAt } = await untilState('approved', 'approved');
    const answer = { kind: 'approved', by: 'ana', at: approvedAt };
    expect(await guards.client.approve('approved', { by: 'ana' })).toEqual(answer);
    expect((await at(0).approve('approved', 'ana')).body).toEqual(answer);
    await acquired('approved', 'r2');
    expect((await show('approved'))?.history.filter(({ what }) => what === 'approved')).toHaveLength(1);
  });

  it('an operator’s release said again is answered again', async () => {
    await acquired('ended', 'r1');
    askInVain('end', 'ended', { by: 'ana', runId: 'run' });
    const before = await untilState('ended', 'cancelled');
    expect((await at(0).release('ended', { by: 'ana', runId: 'run' })).body).toEqual({
      ...{ kind: 'ended', state: 'cancelled' },
    });
    expect(await show('ended')).toEqual(before);
  });
});

describe('an old token can do nothing (G4)', () => {
  const tries: [string, (token: number) => object][] = [
    ['renew', (token) => ({ token })],
    ['release', (token) => ({ token, status: 'succeeded' })],
    ['release', (token) => ({ token, status: 'failed' })],
  ];

  it('while another holding runs: 409 over HTTP, not_held over NATS, and nothing changed', async () => {
    const old = await acquired('zombie', 'r1', 'first run');
    await guards.client.release('zombie', { token: old.token, status: 'interrupted' });
    await acquired('zombie', 'r2', 'second run');
    const before = await show('zombie');
    for (const [operation, request] of tries) {
      const refused = await at(0).post(at(0).path('zombie', operation), request(old.token));
      expect(refused).toMatchObject({
        status: 409,
        body: { code: 'not-held', state: 'running', runId: 'second run', detail: expect.stringContaining('token') },
      });
      expect(refused.headers.get('content-type')).toContain('application/problem+json');
    }
    const notHeld = { kind: 'not_held', state: 'running', runId: 'second run' };
    expect(await guards.client.renew('zombie', { token: old.token })).toEqual(notHeld);
    expect(await guards.client.release('zombie', { token: old.token, status: 'failed' })).toEqual(notHeld);
    expect(await show('zombie')).toEqual(before);
  });

  it('after the holding has ended: it cannot be renewed, nor end in another way', async () => {
    const { token } = await acquired('over', 'r1');
    await guards.client.release('over', { token, status: 'failed' });
    const before = await show('over');
    expect(await at(0).renew('over', { token })).toMatchObject({ status: 409, body: { state: 'failed' } });
    expect(await at(1).release('over', { token, status: 'succeeded' })).toMatchObject({ status: 409 });
    // Another status of the same kind would be another truth about the same end.
    expect(await at(1).release('over', { token, status: 'timed_out' })).toMatchObject({ status: 409 });
    expect(await show('over')).toEqual(before);
  });

  it('a token that was never given, and one of another key', async () => {
    const { token } = await acquired('mine', 'r1');
    await acquired('other', 'r1');
    const before = [await show('mine'), await show('other')];
    for (const wrong of [token + 1_000_000, 1]) {
      expect((await at(0).renew('mine', { token: wrong })).status).toBe(409);
    }
    expect((await at(0).release('other', { token, status: 'succeeded' })).status).toBe(409);
    expect((await at(0).renew('never ran', { token })).body).toMatchObject({ status: 409, state: 'none' });
    expect([await show('mine'), await show('other')]).toEqual(before);
    expect(await show('never ran')).toBeUndefined();
  });
});
