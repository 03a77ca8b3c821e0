import { describe, expect, it } from 'vitest';
import { jsonText } from '#contracts';
import { ManualClock } from '#testing';
import { FaultyStore, type StoreFault } from './faulty-store.fixture.js';
import { MemoryTaskStore } from './memory-task-store.js';
import type { TaskGuard } from './task-guard.js';
import { guardOver, KEY, memoryGuard, request, TTL_MS } from './tasks.fixture.js';

/** A guard that loses answers of the store, and another one over the same store that does not. */
function setUp() {
  const sound = memoryGuard();
  const store = new FaultyStore(sound.store);
  const { guard, events } = guardOver(store, sound.clock);
  const faults: StoreFault[] = [];
  store.nextFault = (of) => (of === 'write' ? faults.shift() : undefined);
  const told = () => events.map(({ type }) => type);
  return { guard, events, store, faults, told, sound: sound.guard, clock: sound.clock };
}

async function tokenOf(guard: TaskGuard, runId: string): Promise<number> {
  const answer = await guard.acquire(KEY, request(runId));
  if (answer.kind !== 'acquired') throw new Error(answer.kind);
  return answer.token;
}

describe('a request whose caller has given up meanwhile', () => {
  it.each(['acquire', 'renew'] as const)(
    '%s is refused when its read waited for the broker (G3)',
    async (operation) => {
      const { guard, store, clock } = setUp();
      const token = await tokenOf(guard, 'r1');
      const before = await guard.get(KEY);
      const { read } = store;
      store.read = async (key) => {
        await clock.advance(3_000);
        return read.call(store, key);
      };
      const until = clock.now() + 1_000;
      const late =
        operation === 'renew' ? guard.renew(KEY, { token }, until) : guard.acquire(KEY, request('r1'), until);
      await expect(late).rejects.toMatchObject({ code: 'task_late' });
      store.read = read;
      expect(await guard.get(KEY)).toEqual(before);
    },
  );

  it('is executed when it is decided in time', async () => {
    const { guard, clock } = setUp();
    const token = await tokenOf(guard, 'r1');
    expect(await guard.renew(KEY, { token }, clock.now())).toMatchObject({ kind: 'renewed' });
  });
});

describe('a write whose answer was lost', () => {
  it('is recognized as the start of the holding, which is reported once', async () => {
    const { guard, faults, events, store } = setUp();
    faults.push('unheard');
    const token = await tokenOf(guard, 'r1');
    expect(await tokenOf(guard, 'r1')).toBe(token);
    expect(events).toEqual([expect.objectContaining({ type: 'task-acquired', runId: 'r1', token })]);
    expect(store.writes).toBe(1);
  });

  it('is repeated when it did not arrive, and reported once', async () => {
    const { guard, faults, told, store } = setUp();
    faults.push('lost', 'lost');
    await tokenOf(guard, 'r1');
    expect([told(), store.writes]).toEqual([['task-acquired'], 3]);
  });

  it('and that never arrived, while another run was faster, gives no holding (G1)', async () => {
    const { guard, faults, told, store, sound } = setUp();
    faults.push('lost');
    store.afterUnclear = async () => void (await sound.acquire(KEY, request('r2')));
    expect(await guard.acquire(KEY, request('r1'))).toMatchObject({ kind: 'already_running', runId: 'r2' });
    expect(told()).toEqual([]);
  });

  it('and that was followed by a renewal is still its holding', async () => {
    const { guard, faults, store, sound, clock, told } = setUp();
    faults.push('unheard');
    store.afterUnclear = async () => {
      await clock.advance(1_000);
      const answer = await sound.acquire(KEY, request('r1'));
      if (answer.kind === 'acquired') await sound.renew(KEY, { token: answer.token });
    };
    const startedAt = clock.now();
    expect(await guard.acquire(KEY, request('r1'))).toMatchObject({ startedAt, expiresAt: startedAt + TTL_MS });
    expect(told()).toEqual(['task-acquired']);
  });

  it('and whose holding an operator ended at once gives a new holding to its caller', async () => {
    const { guard, faults, store, sound } = setUp();
    faults.push('unheard');
    store.afterUnclear = async () => void (await sound.end(KEY, { by: 'ann' }));
    const token = await tokenOf(guard, 'r1');
    expect((await guard.renew(KEY, { token })).kind).toBe('renewed');
  });

  it('of a release is recognized, whatever happened to the task since', async () => {
    const { guard, faults, store, sound, told } = setUp();
    const token = await tokenOf(guard, 'r1');
    faults.push('unheard');
    store.afterUnclear = async () => {
      await sound.approve(KEY, { by: 'ann' });
      await sound.acquire(KEY, request('r2'));
    };
    const answer = await guard.release(KEY, { token, status: 'failed' });
    expect(answer).toEqual({ kind: 'released', state: 'failed' });
    expect(told()).toEqual(['task-acquired', 'task-released']);
  });

  it('of an approval is recognized, though the approval is used up already (G2)', async () => {
    const { guard, faults, store, sound, told } = setUp();
    const token = await tokenOf(guard, 'r1');
    await guard.release(KEY, { token, status: 'failed' });
    faults.push('unheard');
    store.afterUnclear = async () => void (await sound.acquire(KEY, request('r2')));
    expect(await guard.approve(KEY, { by: 'ann' })).toMatchObject({ kind: 'approved', by: 'ann' });
    expect(await guard.get(KEY)).toMatchObject({ state: 'running', runId: 'r2' });
    expect(told()).toEqual(['task-acquired', 'task-released', 'task-approved']);
  });

  it('of a renewal that did not arrive is repeated: only its time identifies it', async () => {
    const { guard, faults, clock, store } = setUp();
    const token = await tokenOf(guard, 'r1');
    await clock.advance(1_000);
    faults.push('lost');
    expect(await guard.renew(KEY, { token })).toEqual({ kind: 'renewed', expiresAt: clock.now() + TTL_MS });
    expect(await guard.get(KEY)).toMatchObject({ expiresAt: clock.now() + TTL_MS });
    expect(store.writes).toBe(3);
  });

  it('of an approval that did not arrive is repeated, though another approval by the same person is stored', async () => {
    const { guard, faults, clock, store, sound } = setUp();
    await guard.acquire(KEY, request('r1', { stale: 'approve' }));
    await clock.advance(TTL_MS);
    faults.push('lost');
    store.afterUnclear = () => sound.settleOverdue(KEY);
    expect(await guard.approve(KEY, { by: 'ann' })).toMatchObject({ kind: 'approved' });
    expect(await guard.get(KEY)).toMatchObject({ state: 'approved', approvedBy: 'ann' });
  });

  it('of an operator’s end does not end the next holding', async () => {
    const { guard, faults, store, sound, told } = setUp();
    await tokenOf(guard, 'r1');
    faults.push('unheard');
    store.afterUnclear = async () => void (await sound.acquire(KEY, request('r2')));
    expect(await guard.end(KEY, { by: 'ann' })).toEqual({ kind: 'ended', state: 'cancelled' });
    expect(await guard.get(KEY)).toMatchObject({ state: 'running', runId: 'r2' });
    expect(told()).toEqual(['task-acquired', 'task-ended']);
  });

  it('is repeated a few times, and not for ever', async () => {
    const { guard, store, told } = setUp();
    store.nextFault = (of) => (of === 'write' ? 'lost' : undefined);
    await expect(guard.acquire(KEY, request('r1'))).rejects.toThrow('try again');
    expect([store.writes, told()]).toEqual([5, []]);
  });
});

describe('a guard', () => {
  it('answers the same request with the same token even after renewals, and tells no other run a token', async () => {
    const { guard, clock } = setUp();
    const token = await tokenOf(guard, 'r1');
    const startedAt = clock.now();
    await clock.advance(1_000);
    await guard.renew(KEY, { token });
    expect(await tokenOf(guard, 'r1')).toBe(token);
    const running = { kind: 'already_running', runId: 'r1', startedAt, expiresAt: clock.now() + TTL_MS, own: false };
    expect(await guard.acquire(KEY, request('r2'))).toEqual(running);
  });

  it('does not guess when the store does not answer', async () => {
    const { guard, store } = setUp();
    store.nextFault = () => 'away';
    await expect(guard.acquire(KEY, request('r1'))).rejects.toThrow('away');
    await expect(guard.get(KEY)).rejects.toThrow('away');
    expect(store.writes).toBe(0);
  });

  it('gives up when other requests are always faster', async () => {
    const { guard, store } = setUp();
    store.write = async () => ({ kind: 'conflict' });
    await expect(guard.acquire(KEY, request('r1'))).rejects.toThrow('too many ask for this task at once');
  });

  it('remembers tasks that ended well for a while, and others for ever (G2)', async () => {
    const { guard, sound, clock } = setUp();
    const kept: (number | undefined)[] = [];
    const keeping = new FaultyStore({
      read: async () => ({ entry: undefined, revision: 0 }),
      write: async (_key, _entry, { ttlMs }) => (kept.push(ttlMs), { kind: 'written', revision: 1 }),
    });
    await guardOver(keeping, clock, { keepMs: 5_000 }).guard.acquire(KEY, request('r1'));
    expect(kept).toEqual([undefined]);
    for (const status of ['succeeded', 'failed', 'cancelled', 'timed_out'] as const) {
      const token = await tokenOf(sound, status);
      expect(await guard.get(KEY)).toMatchObject({ state: 'running', token });
      await guard.release(KEY, { token, status });
      await clock.advance(3_600_000);
      expect((await guard.get(KEY))?.state).toBe(status === 'failed' || status === 'timed_out' ? 'failed' : undefined);
      await guard.approve(KEY, { by: 'ann' });
    }
  });

  it('keeps tasks that failed or lost their holder for a separate time from their last change, and says until when', async () => {
    const clock = new ManualClock();
    const { guard } = guardOver(new MemoryTaskStore(clock), clock, { keepMs: 1_000, keepFailedMs: 50_000 });
    const token = await tokenOf(guard, 'r1');
    await guard.release(KEY, { token, status: 'failed' });
    expect(await guard.get(KEY)).toMatchObject({ state: 'failed', keptUntil: clock.now() + 50_000 });
    await clock.advance(40_000);
    await guard.approve(KEY, { by: 'ann' });
    await clock.advance(40_000);
    expect(await guard.get(KEY)).toMatchObject({ state: 'approved', keptUntil: clock.now() + 10_000 });
    await clock.advance(10_000);
    expect(await guard.get(KEY)).toBeUndefined();
    // A running task is stored as long as it runs; what it leaves has a time of its own again.
    await tokenOf(guard, 'r2');
    await clock.advance(90_000);
    await guard.settleOverdue(KEY);
    expect(await guard.get(KEY)).toMatchObject({ state: 'stale', keptUntil: clock.now() + 50_000 });
  });

  it('shows people a task as it is now, without the fields that only the guard needs', async () => {
    const { guard, clock } = setUp();
    const startedAt = clock.now();
    await guard.acquire(KEY, request('r1', { owner: 'w/1', meta: jsonText({ a: 1 }), approvalForMs: 5_000 }));
    const running = {
      ...{
        key: KEY,
        state: 'running',
        runId: 'r1',
        token: 1,
        owner: 'w/1',
        meta: jsonText({ a: 1 }),
        startedAt,
        stale: 'heal',
      },
      ...{ expiresAt: startedAt + TTL_MS, attempts: 1, staleCount: 0 },
      history: [{ at: startedAt, what: 'acquired', runId: 'r1' }],
    };
    expect(await guard.get(KEY)).toEqual(running);
    await clock.advance(TTL_MS);
    expect(await guard.get(KEY)).toMatchObject({ state: 'stale', staleCount: 1, error: { name: 'holder_gone' } });
    expect(await guard.get('another')).toBeUndefined();
  });
});
