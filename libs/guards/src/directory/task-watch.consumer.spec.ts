import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Names } from '#contracts';
import { silentLogger } from '#telemetry';
import { connectedBroker, expectNothingLeft, ManualClock, until, type ConnectedBroker } from '#testing';
import { KvTaskStore } from '../tasks/kv-task-store.client.js';
import { TaskIndex } from './task-index.js';
import { TaskWatch } from './task-watch.consumer.js';
import { guardOver, KEY, request, START, TTL_MS } from '../tasks/tasks.fixture.js';

const SWEEP_MS = 1_000;
/** Including the random spread of a sweep. */
const LATEST_MS = 1_250;

describe('a watch over tasks on the broker', () => {
  let connected: ConnectedBroker;
  let names: Names;
  let clock: ManualClock;
  let places = 0;
  const started: TaskWatch[] = [];

  beforeAll(async () => void (connected = await connectedBroker()));

  beforeEach(async () => {
    names = new Names(`n${places++}`, 16);
    await connected.makeStreams(names);
    clock = new ManualClock();
    await clock.advance(START);
  });

  afterEach(async () => {
    await Promise.all(started.splice(0).map((watch) => watch.stop()));
    expect(clock.waiting).toBe(0);
  });

  afterAll(async () => {
    await connected[Symbol.asyncDispose]();
    await expectNothingLeft();
  });

  /** A replica: a guard, and its watch. */
  function replica(random = 0.5) {
    const store = new KvTaskStore(connected.bucket(names.tasksBucket), names);
    const index = new TaskIndex();
    const swept: string[] = [];
    const faults: string[] = [];
    const { guard, events } = guardOver(store, clock);
    const sweeping = {
      async settleOverdue(key: string): Promise<void> {
        swept.push(key);
        if (faults.includes(key)) throw new Error('no');
        await guard.settleOverdue(key);
      },
    };
    const { connection } = connected;
    const watch = new TaskWatch({
      ...{ connection, names, index, clock, guard: sweeping, sweepMs: SWEEP_MS, log: silentLogger },
      random: () => random,
    });
    watch.start();
    started.push(watch);
    const counted = (state: string) =>
      until(`one is ${state}`, () => Object.keys(index.counts(clock.now())).includes(state));
    return { store, guard, events, index, swept, faults, watch, counted, types: () => events.map(({ type }) => type) };
  }

  it('learns of earlier entries, and of new writes', async () => {
    const former = replica();
    await former.guard.acquire(KEY, request('r1'));
    const { guard, index, counted } = replica();
    await counted('running');
    const answer = await guard.acquire('a name alone', request('r2'));
    await until('both are heard of', () => index.counts(clock.now()).running === 2);
    if (answer.kind === 'acquired') await guard.release('a name alone', { token: answer.token, status: 'failed' });
    await until('one has failed', () => index.counts(clock.now()).failed === 1);
    await guard.end('a name alone', { by: 'ann' });
    await until('it is over', () => index.counts(clock.now()).failed === undefined);
    expect(index.counts(clock.now())).toEqual({ running: 1 });
  });

  it('records that a holder is gone, and all watches together report it once', async () => {
    const [a, b] = [replica(0.5), replica(0.5)];
    await a.guard.acquire(KEY, request('r1'));
    await Promise.all([a.counted('running'), b.counted('running')]);
    await clock.advance(TTL_MS - 1);
    expect([...a.swept, ...b.swept]).toEqual([]);
    await clock.advance(LATEST_MS);
    await until('it is written down', async () => {
      const { entry } = await a.store.read(KEY);
      return entry !== 'unreadable' && entry?.state === 'stale' && a.index.overdue(clock.now()).length === 0;
    });
    await until('both know', () => b.index.overdue(clock.now()).length === 0);
    expect([...a.types(), ...b.types()].filter((type) => type === 'task-stale')).toHaveLength(1);
    const sweeps = a.swept.length + b.swept.length;
    await clock.advance(10 * LATEST_MS);
    expect(a.swept.length + b.swept.length).toBe(sweeps);
    expect(await a.guard.get(KEY)).toMatchObject({ state: 'stale', staleCount: 1 });
  });

  it('records that an approval was not given in time', async () => {
    const { guard, counted, store, types } = replica();
    await guard.acquire(KEY, request('r1', { stale: 'approve', approvalForMs: 5_000 }));
    await counted('running');
    await until('it is written down', async () => {
      await clock.advance(LATEST_MS);
      const { entry } = await store.read(KEY);
      return entry !== 'unreadable' && entry?.state === 'approval_expired';
    });
    await until('it is told', () => types().includes('task-approval_expired'));
    expect(types()).toEqual(['task-acquired', 'task-stale', 'task-approval_expired']);
  });

  it('leaves a holding alone that was renewed in time', async () => {
    const { guard, index, swept } = replica();
    const answer = await guard.acquire(KEY, request('r1'));
    await clock.advance(TTL_MS - 1);
    if (answer.kind === 'acquired') await guard.renew(KEY, { token: answer.token });
    await until(
      'the renewal is heard of',
      () => index.counts(clock.now()).running === 1 && index.overdue(clock.now() + 1).length === 0,
    );
    await clock.advance(TTL_MS - LATEST_MS);
    expect(swept).toEqual([]);
  });

  it('continues with the others when one cannot be recorded', async () => {
    const { guard, index, swept, faults, store } = replica();
    faults.push('s::first');
    for (const key of ['s::first', 's::second']) await guard.acquire(key, request('r1'));
    await until('both are heard of', () => index.counts(clock.now()).running === 2);
    await clock.advance(TTL_MS + LATEST_MS);
    await until('the second is written down', async () => {
      const { entry } = await store.read('s::second');
      return entry !== 'unreadable' && entry?.state === 'stale';
    });
    await until('the sweep is over', () => index.overdue(clock.now()).length === 1 && clock.waiting > 0);
    faults.length = 0;
    await clock.advance(LATEST_MS);
    await until('the first is written down with the next sweep', () => index.overdue(clock.now()).length === 0);
    expect(swept.slice(0, 2)).toEqual(['s::first', 's::second']);
  });

  it('ignores a value that no guard has written, and forgets the task that it replaced', async () => {
    const { guard, index, store, counted } = replica();
    const bucket = connected.bucket(names.tasksBucket);
    await bucket.write('=3a', 'hello', { expected: 0 });
    await bucket.write('three.tokens.long', 'hello', { expected: 0 });
    await guard.acquire(KEY, request('r1'));
    await counted('running');
    const { revision } = await store.read(KEY);
    await bucket.write(names.taskKey(KEY), '{"v":9}', { expected: revision });
    await until('it is forgotten', () => index.counts(clock.now()).running === undefined);
    const written = await bucket.write(names.taskKey('removed'), '{}', { expected: 0 });
    expect(written.kind).toBe('written');
    await guard.acquire('k', request('r1'));
    await counted('running');
    await bucket.remove(names.taskKey('k'), (await store.read('k')).revision);
    await until('what is removed is forgotten', () => index.counts(clock.now()).running === undefined);
  });

  it('records nothing about a task that was copied from another key', async () => {
    const { guard, store, counted, swept } = replica();
    await guard.acquire(KEY, request('r1'));
    const { entry } = await store.read(KEY);
    const bucket = connected.bucket(names.tasksBucket);
    await bucket.write(names.taskKey('s::copy'), JSON.stringify(entry), { expected: 0 });
    await guard.acquire('s::after', request('r2'));
    await counted('running');
    await until('both are written down', async () => {
      await clock.advance(LATEST_MS);
      return swept.includes(KEY) && swept.includes('s::after');
    });
    expect(swept).not.toContain('s::copy');
  });

  it('continues after the broker was away', async () => {
    const { guard, counted, store, swept } = replica();
    await guard.acquire(KEY, request('r1'));
    await counted('running');
    await connected.broker.kill9();
    await until('the connection is lost', () => !connected.connection.isUp);
    await clock.advance(TTL_MS + LATEST_MS);
    expect(swept).toEqual([]);
    await connected.broker.restart();
    await until('the connection is back', () => connected.connection.isUp);
    await until('its end is written down', async () => {
      await clock.advance(LATEST_MS);
      const { entry } = await store.read(KEY);
      return entry !== 'unreadable' && entry?.state === 'stale';
    });
    await guard.acquire('after', request('r2'));
    await counted('running');
  });

  it('stops during a sweep, and leaves no timer', async () => {
    const { guard, counted, watch, swept } = replica();
    await guard.acquire(KEY, request('r1'));
    await counted('running');
    await clock.advance(TTL_MS + LATEST_MS);
    await watch.stop();
    expect(clock.waiting).toBe(0);
    const before = swept.length;
    await clock.advance(10 * LATEST_MS);
    expect(swept).toHaveLength(before);
  });
});
