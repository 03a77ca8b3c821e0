import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Names, RetryLaterError, type AcquireAnswer, type GuardCall, type GuardReply } from '#contracts';
import { BrokerConnection } from '#jetstream';
import { silentLogger } from '#telemetry';
import { connectedBroker, expectNothingLeft, until, type ConnectedBroker } from '#testing';
import { GuardClient, GuardRefusedError, GuardUnavailableError } from './guard.client.js';
import { request } from '../tasks/tasks.fixture.js';

const RUNNING: AcquireAnswer = { kind: 'already_running', runId: 'r', startedAt: 1, expiresAt: 2, own: false };
const UNAVAILABLE = { ok: false, code: 'unavailable', message: 'the broker does not say' } as const;

describe('a client of the guard', () => {
  const names = new Names('lk', 16);
  let connected: ConnectedBroker;
  /** The connection of the replicas; the callers have the other one. */
  let replicas: BrokerConnection;
  let client: GuardClient;
  const closing: (() => void)[] = [];

  beforeAll(async () => {
    connected = await connectedBroker();
    replicas = await BrokerConnection.open({ url: connected.broker.url, name: 'replicas', log: silentLogger });
    client = new GuardClient(connected.connection, names);
  });

  afterEach(async () => {
    closing.splice(0).forEach((close) => close());
    await replicas.nc.flush();
  });

  afterAll(async () => {
    await replicas.close();
    await connected[Symbol.asyncDispose]();
    await expectNothingLeft();
  });

  /** A replica that the spec controls; when it does not reply, its request is never answered. */
  async function replica(reply: (call: GuardCall, nth: number) => GuardReply<unknown> | string | undefined) {
    const got: { readonly subject: string; readonly body: string }[] = [];
    const subscription = replicas.nc.subscribe(names.guardSubject('*'), {
      queue: 'guard',
      callback: (_error, message) => {
        got.push({ subject: message.subject, body: message.string() });
        const said = reply(message.json<GuardCall>(), got.length);
        if (said !== undefined) message.respond(typeof said === 'string' ? said : JSON.stringify(said));
      },
    });
    closing.push(() => subscription.unsubscribe());
    await replicas.nc.flush();
    return got;
  }

  /** A client whose guard does not answer yet, and a promise of its second try. */
  function counted() {
    const { nc } = connected.connection;
    let asked = 0;
    const counting = { request: (...call: Parameters<typeof nc.request>) => (asked++, nc.request(...call)) };
    const asking = new GuardClient({ isUp: true, nc: counting as typeof nc }, names);
    return { asking, inVain: () => until('it asks for the second time', () => asked > 1) };
  }

  async function timed<T>(work: () => Promise<T>) {
    const began = performance.now();
    const outcome = await work().catch((error: unknown) => error);
    return { outcome, ms: performance.now() - began };
  }

  it('sends each operation to its own subject, and returns what the guard answers', async () => {
    const got = await replica(({ request }) => ({ ok: true, answer: request }));
    const before = Date.now();
    const asked: [string, object, Promise<unknown>][] = [
      ['acquire', request('r1'), client.acquire('k', request('r1'))],
      ['renew', { token: 7, ttlMs: 1_000 }, client.renew('k', { token: 7, ttlMs: 1_000 })],
      ['release', { token: 7, status: 'failed' }, client.release('k', { token: 7, status: 'failed' })],
      ['approve-retry', { by: 'ann' }, client.approve('k', { by: 'ann' })],
      ['end', { by: 'ann', runId: 'r1' }, client.end('k', { by: 'ann', runId: 'r1' }, { withinMs: 5_000 })],
    ];
    for (const [, sent, answer] of asked) expect(await answer).toEqual(sent);
    expect(got.map(({ subject }) => subject)).toEqual(asked.map(([operation]) => `lk.guard.tasks.${operation}`));
    const calls = got.map(({ body }) => JSON.parse(body) as GuardCall);
    expect(calls.map(({ key }) => key)).toEqual(['k', 'k', 'k', 'k', 'k']);
    for (const [i, { validUntil }] of calls.entries()) {
      const withinMs = i === 4 ? 5_000 : 2_000;
      expect(validUntil).toBeGreaterThanOrEqual(before + withinMs);
      expect(validUntil).toBeLessThanOrEqual(Date.now() + withinMs);
    }
  });

  it('says within its time limit that no guard is there, and that the caller may try again', async () => {
    const { outcome, ms } = await timed(() => client.acquire('k', request('r1'), { withinMs: 300 }));
    expect(outcome).toBeInstanceOf(GuardUnavailableError);
    expect(outcome).toBeInstanceOf(RetryLaterError);
    expect(outcome).toMatchObject({ retryAfterMs: 2_000, message: expect.stringContaining('lanekeeper guard') });
    expect(ms).toBeGreaterThanOrEqual(200);
    expect(ms).toBeLessThan(1_500);
  });

  it('says the same when a replica is there that never answers', async () => {
    const got = await replica(() => undefined);
    const { outcome, ms } = await timed(() => client.acquire('k', request('r1'), { withinMs: 300 }));
    expect(outcome).toBeInstanceOf(GuardUnavailableError);
    expect(ms).toBeGreaterThanOrEqual(290);
    expect(ms).toBeLessThan(1_500);
    expect(got).toHaveLength(1);
  });

  it('finds a replica that starts in the meantime', async () => {
    const { asking, inVain } = counted();
    const answer = asking.acquire('k', request('r1'));
    await inVain();
    await replica(() => ({ ok: true, answer: RUNNING }));
    expect(await answer).toEqual(RUNNING);
  });

  it('asks another replica when one does not answer, with the same bytes', async () => {
    const got = await replica((_call, nth) => (nth === 1 ? undefined : { ok: true, answer: RUNNING }));
    const { outcome, ms } = await timed(() => client.acquire('k', request('r1')));
    expect(outcome).toEqual(RUNNING);
    expect(ms).toBeLessThan(1_900);
    expect(got).toHaveLength(2);
    expect(got[1]).toEqual(got[0]);
    expect(JSON.parse(got[0]?.body ?? '')).toMatchObject({ request: { requestId: 'r1-request' } });
  });

  it('repeats a request whose outcome is unclear or whose answer cannot be read', async () => {
    const said: (GuardReply<unknown> | string)[] = [UNAVAILABLE, 'no JSON', UNAVAILABLE, { ok: true, answer: RUNNING }];
    const got = await replica((_call, nth) => said[nth - 1]);
    expect(await client.acquire('k', request('r1'))).toEqual(RUNNING);
    expect(got).toHaveLength(4);
    expect(new Set(got.map(({ body }) => body)).size).toBe(1);
  });

  it.each<[string, (within: { withinMs: number }) => Promise<unknown>]>([
    ['an approval', (within) => client.approve('k', { by: 'ann' }, within)],
    ['an end without a run', (within) => client.end('k', { by: 'ann' }, within)],
  ])('does not repeat %s once a replica may have got it: it might hit the next holding (G2)', async (_title, ask) => {
    for (const said of [undefined, UNAVAILABLE]) {
      const got = await replica(() => said);
      const { outcome } = await timed(() => ask({ withinMs: 700 }));
      expect(outcome).toBeInstanceOf(GuardUnavailableError);
      expect(got).toHaveLength(1);
      closing.splice(0).forEach((close) => close());
      await replicas.nc.flush();
    }
    const { asking, inVain } = counted();
    const answer = asking.approve('k', { by: 'ann' });
    await inVain();
    await replica(() => ({ ok: true, answer: RUNNING }));
    expect(await answer).toEqual(RUNNING);
  });

  it('repeats an end that names its run', async () => {
    const got = await replica((_call, nth) => (nth === 1 ? UNAVAILABLE : { ok: true, answer: RUNNING }));
    expect(await client.end('k', { by: 'ann', runId: 'r1' })).toEqual(RUNNING);
    expect(got).toHaveLength(2);
  });

  it('gives up within its time limit, and keeps the reason', async () => {
    const got = await replica(() => UNAVAILABLE);
    const { outcome, ms } = await timed(() => client.renew('k', { token: 7 }, { withinMs: 300 }));
    expect(outcome).toBeInstanceOf(GuardUnavailableError);
    expect((outcome as Error).cause).toBe('the broker does not say');
    expect(ms).toBeLessThan(1_500);
    expect(got.length).toBeGreaterThan(1);
    expect(got.length).toBeLessThan(10);
  });

  it('does not repeat a refused request', async () => {
    const got = await replica(() => ({ ok: false, code: 'refused', message: 'key: found nothing' }));
    const { outcome } = await timed(() => client.acquire('', request('r1')));
    expect(outcome).toBeInstanceOf(GuardRefusedError);
    expect(outcome).toMatchObject({ code: 'guard_refused', message: 'the task guard refused: key: found nothing' });
    expect(got).toHaveLength(1);
  });

  it('leaves nothing in the send buffer while the broker is away, and gets an answer when it is back', async () => {
    const { broker, connection } = connected;
    await broker.kill9();
    await until('the connection is lost', () => !connection.isUp);
    const away = client.acquire('k', request('away'), { withinMs: 200 });
    await expect(away).rejects.toThrow(GuardUnavailableError);
    await expect(away).rejects.toMatchObject({ cause: { code: 'broker_away' } });
    const answer = client.acquire('k', request('back'), { withinMs: 30_000 });
    await broker.restart();
    await until('the connections are back', () => connection.isUp && replicas.isUp);
    const got = await replica(() => ({ ok: true, answer: RUNNING }));
    expect(await answer).toEqual(RUNNING);
    expect(got.map(({ body }) => (JSON.parse(body) as { request: { runId: string } }).request.runId)).toEqual(['back']);
  });
});
