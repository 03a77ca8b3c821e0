import { describe, expect, it } from 'vitest';
import type { TaskKeeper } from '#agents';
import type { Batch, Ending, Settled } from '#lanes';
import { settled as promisesSettled } from '#testing';
import { batchOf, gate, guardedWorker, sessionKey, TASK, TTL_MS, WITHIN_MS } from './guard.fixture.js';

const HERE = { isLeaked: false };
const LEAKED = { isLeaked: true };
const OWN = 'main/telegram:42::own';
const withTask = (more: Partial<Batch> = {}): Batch => batchOf({ task: { key: TASK }, ...more });
const ending = (status: Ending['status'], error?: Ending['error']): Ending => ({
  ...{ kind: 'end', status, decision: 'handled', sends: [] },
  ...(error === undefined ? {} : { error }),
});
const fails = () => Promise.reject(new Error('no'));

function worker(...options: Parameters<typeof guardedWorker>) {
  const all = guardedWorker(...options);
  const { guarded, guard } = all;
  const { signal } = new AbortController();
  const work = (batch: Batch) => ({ key: sessionKey, batch }) as Parameters<typeof guarded.admit>[0];
  return {
    ...all,
    admit: (batch: Batch) => guarded.admit(work(batch)),
    keeper: (batch: Batch): TaskKeeper => guarded.keeperFor({ key: sessionKey, batch }, () => signal),
    /** As the lanes do it: the record stands between the two. */
    end: async (batch: Batch, how: Ending, end = HERE) => {
      await guarded.ending(sessionKey, batch, how, end);
      const inRecord = guard.asked.length;
      guarded.settled(sessionKey, batch, 'ended', end);
      await promisesSettled();
      return { before: guard.asked.slice(0, inRecord), after: guard.asked.slice(inRecord) };
    },
    settle: async (batch: Batch, how: Settled, end = HERE) => {
      guarded.settled(sessionKey, batch, how, end);
      await promisesSettled();
    },
  };
}

describe('the task of a message', () => {
  it('is got before its turn begins, and free after the record of a good end', async () => {
    const { admit, end, guard, guarded, clock } = worker();
    const batch = withTask({ task: { key: TASK, ttlMs: 5_000, stale: 'approve' } });
    expect(await admit(batch)).toMatchObject({ kind: 'go', holding: { key: TASK, token: 1 } });
    const [request] = guard.of('acquire');
    expect(request).toMatchObject({ runId: 'r', owner: 'main/telegram:42', ttlMs: 5_000, stale: 'approve' });
    expect(guarded.heldTasks('r')).toEqual([{ key: TASK, token: 1 }]);
    const { before, after } = await end(batch, ending('succeeded'));
    expect([before.length, after.map(({ request }) => request)]).toEqual([1, [{ token: 1, status: 'succeeded' }]]);
    expect([await guard.stateOf(TASK), clock.waiting]).toEqual(['succeeded', 0]);
  });

  it.each<[Ending['status'], string]>([
    ['failed', 'failed'],
    ['timed_out', 'timed_out'],
  ])('G2 is failed before the record of a turn that %s', async (status, told) => {
    const { admit, end, guard } = worker();
    await admit(withTask());
    const error = { name: 'E', message: 'broken' };
    const { before, after } = await end(withTask(), ending(status, error));
    expect(before.at(-1)?.request).toEqual({ token: 1, status: told, error });
    expect([after, await guard.stateOf(TASK)]).toEqual([[], 'failed']);
  });

  it.each<Ending['status']>(['cancelled', 'interrupted'])('is free after a turn that was %s', async (status) => {
    const { admit, end, guard } = worker();
    await admit(withTask());
    const { before } = await end(withTask(), ending(status));
    expect([before.length, await guard.stateOf(TASK)]).toEqual([1, 'cancelled']);
  });

  it('is refused to whoever comes second, and to whoever comes after a failure', async () => {
    const { admit, end, guarded } = worker();
    await admit(withTask());
    const second = withTask({ runId: 'second' });
    const running = { kind: 'refused', refusal: { reason: 'already_running', data: { task: TASK, runId: 'r' } } };
    expect(await admit(second)).toMatchObject(running);
    expect((await end(second, ending('rejected'))).after).toEqual([]);
    await end(withTask(), ending('failed'));
    const waits = { kind: 'refused', refusal: { reason: 'approval_required', data: { failedRunId: 'r' } } };
    expect(await admit(withTask({ runId: 'third' }))).toMatchObject(waits);
    expect(await guarded.lookAtTask(sessionKey, { key: TASK })).toMatchObject({ reason: 'approval_required' });
  });

  it('a look that finds nobody to ask refuses nothing', async () => {
    const { guarded, guard } = worker();
    guard.isAway = true;
    expect(await guarded.lookAtTask(sessionKey, { key: TASK })).toBeUndefined();
  });

  it('a trigger right after the end in this worker waits for its release', async () => {
    const { admit, end, guard, guarded, clock } = worker();
    await admit(withTask());
    guard.slowMs = 50;
    await end(withTask(), ending('succeeded'));
    const looked = guarded.lookAtTask(sessionKey, { key: TASK });
    const next = admit(withTask({ runId: 'next' }));
    await clock.advance(100);
    expect([await looked, (await next).kind]).toEqual([undefined, 'go']);
  });

  it('a look whose answer waits for the record that ends its run waits for the release behind that', async () => {
    const { admit, guard, guarded, clock } = worker();
    await admit(withTask());
    guard.slowMs = 50;
    await guarded.ending(sessionKey, withTask(), ending('succeeded'), HERE);
    // In this order: a lane asks when the record stands, before its runner hears what became of the attempt.
    const looked = guarded.lookAtTask(sessionKey, { key: TASK });
    await promisesSettled();
    guarded.settled(sessionKey, withTask(), 'ended', HERE);
    await clock.advance(100);
    expect([await looked, await guard.stateOf(TASK)]).toEqual([undefined, 'succeeded']);
  });

  it('work of its own turn under its name is no second holding, and does not end it', async () => {
    const { admit, keeper, end, guard } = worker();
    const batch = withTask();
    await admit(batch);
    expect(await keeper(batch).run(TASK, ({ token }) => token, {})).toEqual({ kind: 'ran', result: 1 });
    await expect(keeper(batch).run(TASK, fails, {})).rejects.toThrow('no');
    expect([guard.asked.length, await guard.stateOf(TASK)]).toEqual([1, 'running']);
    await end(batch, ending('succeeded'));
    expect(await guard.stateOf(TASK)).toBe('succeeded');
  });

  it('runs again unguarded when it is done by its own run, and without a guard when that is wanted', async () => {
    const { admit, end } = worker();
    await admit(withTask());
    await end(withTask(), ending('succeeded'));
    expect(await admit(withTask({ attempt: 2 }))).toEqual({ kind: 'go' });
    const open = worker({ whenUnavailable: 'open' });
    open.guard.isAway = true;
    const told = open.admit(withTask());
    await open.clock.advance(WITHIN_MS);
    expect(await told).toEqual({ kind: 'go' });
  });

  it('G2 of a condemned run is failed by its run, since nobody has its token', async () => {
    const { admit, guard, guarded, end, clock } = worker();
    await admit(withTask());
    const other = worker({ beside: { guard, clock } });
    const condemned = withTask({ isCondemned: true });
    await other.end(condemned, ending('failed', { name: 'worker_crashed', message: 'm' }));
    expect(guard.of('end')).toEqual([
      { by: 'w2', runId: 'r', status: 'failed', error: { name: 'worker_crashed', message: 'm' } },
    ]);
    expect(await guard.stateOf(TASK)).toBe('failed');
    guard.isAway = true;
    const told = guarded.ending(sessionKey, condemned, ending('failed'), HERE);
    await clock.advance(WITHIN_MS);
    await expect(told).resolves.toBeUndefined();
    await end(batchOf({ runId: 'x', isCondemned: true }), ending('failed'));
  });

  it('G2 of a run that cannot wait for the end of the holding of its dead worker is failed with its turn, not free when that ends', async () => {
    const { admit, guard, clock } = worker();
    await admit(withTask());
    const other = worker({ beside: { guard, clock } });
    const again = withTask({ attempt: 2, crashes: 1 });
    const putOff = { code: 'retry_later', retryAfterMs: TTL_MS + 100 };
    await expect(other.admit(again)).rejects.toMatchObject(putOff);
    const error = { name: 'E', message: 'put off for too long' };
    const { before } = await other.end(again, ending('failed', error));
    expect(before.at(-1)).toMatchObject({ operation: 'end', request: { runId: 'r', status: 'failed', error } });
    await clock.advance(TTL_MS);
    expect(await guard.stateOf(TASK)).toBe('failed');
  });

  it.each<[string, Partial<Batch>, Ending['status']]>([
    ['was refused', { crashes: 1 }, 'rejected'],
    ['was cancelled', { crashes: 1 }, 'cancelled'],
    ['never had it', {}, 'failed'],
  ])('is nothing to tell the guard of when its run %s', async (_title, more, status) => {
    const { end, guard } = worker();
    await end(withTask(more), ending(status));
    expect(guard.asked).toEqual([]);
  });

  it('G2 of a run that had a crash and got it again is released once, by its token', async () => {
    const { admit, end, guard } = worker();
    const again = withTask({ attempt: 2, crashes: 1 });
    await admit(again);
    await end(again, ending('failed'));
    expect(guard.asked.map(({ operation }) => operation)).toEqual(['acquire', 'release']);
  });
});

describe('a turn without tasks', () => {
  it('asks nobody, waits for nobody, and leaves nothing behind', async () => {
    const { admit, guarded, guard, settle, clock } = worker();
    expect(await admit(batchOf())).toEqual({ kind: 'go' });
    expect(guarded.ending(sessionKey, batchOf(), ending('failed'), HERE)).toBeUndefined();
    for (const how of ['ended', 'again', 'again-elsewhere', 'discarded'] as const) await settle(batchOf(), how);
    expect([guarded.heldTasks('r'), guard.asked, clock.waiting]).toEqual([[], [], 0]);
  });
});

describe('tasks of a turn', () => {
  it('G2 one that threw is failed before the record of its turn, also when the turn is good all the same', async () => {
    const { keeper, end, guard } = worker();
    await expect(keeper(batchOf()).run(OWN, fails, {})).rejects.toThrow('no');
    const { before, after } = await end(batchOf(), ending('succeeded'));
    expect(before.at(-1)?.request).toEqual({ token: 1, status: 'failed', error: { name: 'Error', message: 'no' } });
    expect([after, await guard.stateOf(OWN)]).toEqual([[], 'failed']);
  });

  it('is free when its turn was cancelled, as soon as its work has stopped', async () => {
    const { keeper, end, guard } = worker();
    const stop = gate();
    let signal: AbortSignal | undefined;
    void keeper(batchOf()).run(OWN, (held) => ((signal = held.signal), stop.promise), {});
    await promisesSettled();
    await end(batchOf(), ending('cancelled'));
    expect([signal?.aborted, await guard.stateOf(OWN)]).toEqual([true, 'running']);
    stop.resolve();
    await promisesSettled();
    expect(await guard.stateOf(OWN)).toBe('cancelled');
  });

  it('one that nobody waited for is failed with its turn', async () => {
    const { keeper, end, guard } = worker();
    const stop = gate();
    const told = keeper(batchOf()).run(OWN, () => stop.promise, {});
    await promisesSettled();
    const { before } = await end(batchOf(), ending('succeeded'));
    expect(before.at(-1)?.request).toMatchObject({ status: 'failed', error: { name: 'unfinished' } });
    stop.resolve();
    await told;
    expect(guard.of('release')).toHaveLength(1);
  });

  it.each<Settled>(['ended', 'again', 'again-elsewhere', 'discarded'])(
    'G2 a leaked handler fails all that its run holds (%s)',
    async (how) => {
      const { admit, keeper, end, settle, guard } = worker();
      const batch = withTask();
      await admit(batch);
      void keeper(batch).run(OWN, () => gate().promise, {});
      await promisesSettled();
      await (how === 'ended' ? end(batch, ending('timed_out'), LEAKED) : settle(batch, how, LEAKED));
      expect([await guard.stateOf(TASK), await guard.stateOf(OWN)]).toEqual(['failed', 'failed']);
    },
  );

  it('a turn that dies without a guard ends within a bound, and its tasks are failed later', async () => {
    const { admit, guarded, settle, guard, clock } = worker();
    await admit(withTask());
    guard.isAway = true;
    let isTold = false;
    void guarded.ending(sessionKey, withTask(), ending('failed'), HERE)?.then(() => (isTold = true));
    await clock.advance(WITHIN_MS);
    await promisesSettled();
    expect(isTold).toBe(true);
    await settle(withTask(), 'ended');
    guard.isAway = false;
    await clock.advance(2 * WITHIN_MS);
    expect([await guard.stateOf(TASK), clock.waiting]).toEqual(['failed', 0]);
  });
});

describe('an attempt that counts for nothing', () => {
  it('G1 keeps its tasks until its handler has stopped, and then they are free', async () => {
    const { admit, guarded, settle, guard, clock } = worker();
    const handler = gate();
    const done = guarded.following('r', handler.promise);
    await admit(withTask());
    await settle(withTask(), 'discarded');
    await clock.advance(TTL_MS / 2);
    expect(await guard.stateOf(TASK)).toBe('running');
    handler.resolve();
    await done;
    await promisesSettled();
    expect([guard.of('release'), clock.waiting]).toEqual([[{ token: 1, status: 'interrupted' }], 0]);
  });

  it('G1 does not lend them to the same run that runs again here, nor ends those that it gets', async () => {
    const { admit, guarded, settle, guard } = worker();
    const zombie = gate();
    void guarded.following('r', zombie.promise);
    await admit(withTask());
    await settle(withTask(), 'discarded');
    await expect(admit(withTask({ attempt: 2 }))).rejects.toMatchObject({ retryAfterMs: 1_000 });
    await settle(withTask(), 'again');
    const handler = gate();
    zombie.resolve();
    await promisesSettled();
    void guarded.following('r', handler.promise);
    expect(await admit(withTask({ attempt: 2 }))).toMatchObject({ kind: 'go', holding: { token: 3 } });
    await promisesSettled();
    expect([guard.of('release').length, await guard.stateOf(TASK)]).toEqual([1, 'running']);
  });

  it('G1 waits for the work under a task too', async () => {
    const { keeper, settle, guard } = worker();
    const stop = gate();
    void keeper(batchOf()).run(OWN, () => stop.promise, {});
    await promisesSettled();
    await settle(batchOf(), 'discarded');
    expect(await guard.stateOf(OWN)).toBe('running');
    stop.resolve();
    await promisesSettled();
    expect(guard.of('release')).toEqual([{ token: 1, status: 'interrupted' }]);
  });

  it('G3 gives back what it gets too late', async () => {
    const { admit, settle, guard, clock } = worker();
    guard.slowMs = 300;
    const told = expect(admit(withTask())).rejects.toThrow('is over');
    await clock.advance(100);
    await settle(withTask(), 'discarded');
    await clock.advance(1_000);
    await told;
    expect([await guard.stateOf(TASK), clock.waiting]).toEqual(['cancelled', 0]);
  });
});

describe('a run that goes on elsewhere', () => {
  it('takes its tasks along: nothing is released nor renewed here any more', async () => {
    const { admit, guarded, settle, guard, clock } = worker();
    await admit(withTask());
    const tasks = guarded.heldTasks('r');
    await settle(withTask(), 'again-elsewhere');
    expect([clock.waiting, guard.asked.length]).toEqual([0, 1]);
    const there = worker({ beside: { guard, clock } });
    const batch = withTask({ attempt: 2, tasks });
    expect(await there.admit(batch)).toMatchObject({ kind: 'go', holding: { token: 1 } });
    await clock.advance(3 * TTL_MS);
    await there.end(batch, ending('succeeded'));
    expect([guard.of('acquire').length, await guard.stateOf(TASK)]).toEqual([1, 'succeeded']);
  });

  it('without what does not stand any more', async () => {
    const { admit, guard } = worker();
    await guard.acquire(TASK, { requestId: 'x', runId: 'r' });
    await guard.end(TASK, { by: 'operator' });
    const batch = withTask({ attempt: 2, tasks: [{ key: TASK, token: 1 }] });
    expect(await admit(batch)).toMatchObject({ kind: 'go', holding: { token: 3 } });
  });

  it('G1 nor with what something here is still at work under: that is free when it has stopped', async () => {
    const { keeper, guarded, settle, guard, clock } = worker();
    const stop = gate();
    void keeper(batchOf()).run(OWN, () => stop.promise, {});
    await promisesSettled();
    expect(guarded.heldTasks('r')).toEqual([]);
    await settle(batchOf(), 'again-elsewhere');
    await clock.advance(TTL_MS / 2);
    expect(await guard.stateOf(OWN)).toBe('running');
    stop.resolve();
    await promisesSettled();
    expect([await guard.stateOf(OWN), clock.waiting]).toEqual(['cancelled', 0]);
  });

  it.each<[Settled, string | undefined]>([
    ['ended', 'cancelled'],
    // Somebody else may go on with what stands in its record.
    ['discarded', undefined],
    ['again-elsewhere', undefined],
  ])('that only waited and is %s is released by its record as %s', async (how, status) => {
    const { guard, settle, clock } = worker();
    await guard.acquire(OWN, { requestId: 'x', runId: 'r' });
    await settle(batchOf({ tasks: [{ key: OWN, token: 1 }] }), how);
    expect(guard.of('release')).toEqual(status === undefined ? [] : [{ token: 1, status }]);
    guard.isAway = true;
    await settle(batchOf({ tasks: [{ key: OWN, token: 1 }] }), how);
    await clock.advance(WITHIN_MS);
  });

  it.each<Settled>(['discarded', 'ended'])(
    'G2 that failed by itself before its turn was cut (%s) asks for an approval; what was cut itself is free',
    async (how) => {
      const { keeper, guarded, settle, guard } = worker();
      const batch = batchOf();
      const cut = gate();
      await keeper(batch)
        .run(OWN, () => Promise.reject(new Error('boom')), {})
        .catch(() => {});
      const failing = (signal: AbortSignal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('cut'))));
      const other = keeper(batch)
        .run('ops::other', ({ signal }) => (cut.resolve(), failing(signal)), {})
        .catch(() => {});
      await cut.promise;
      if (how === 'ended') await guarded.ending(sessionKey, batch, ending('cancelled'), HERE);
      await settle(batch, how);
      await other;
      await promisesSettled();
      expect([await guard.stateOf(OWN), await guard.stateOf('ops::other')]).toEqual(['failed', 'cancelled']);
    },
  );

  it('whose handler never stops holds its task for no longer than its time (G3)', async () => {
    const { admit, guarded, settle, guard, clock } = worker();
    await admit(withTask());
    void guarded.following('r', new Promise(() => {}));
    await settle(withTask(), 'discarded');
    await clock.advance(TTL_MS);
    expect(await guard.stateOf(TASK)).toBe('stale');
  });

  it('that waited here and was lost with its shard is let go: whoever has it now may hold the same token', async () => {
    const { admit, settle, guarded, guard, clock } = worker();
    await admit(withTask());
    await settle(withTask(), 'again');
    guarded.settled(sessionKey, { runId: 'r', tasks: [{ key: TASK, token: 1 }] }, 'discarded', { isLeaked: false });
    await clock.advance(TTL_MS - 1);
    expect([await guard.stateOf(TASK), guard.of('release'), clock.waiting]).toEqual(['running', [], 0]);
  });

  it('that only waited here is free by a note too', async () => {
    const { admit, settle, guard, clock } = worker();
    await admit(withTask());
    await settle(withTask(), 'again');
    await clock.advance(3 * TTL_MS);
    await settle(withTask(), 'ended');
    expect([await guard.stateOf(TASK), clock.waiting]).toEqual(['cancelled', 0]);
  });

  it('what it finished is not told twice at its end', async () => {
    const { guard, keeper, admit, end } = worker();
    await guard.acquire(OWN, { requestId: 'x', runId: 'r' });
    const batch = batchOf({ attempt: 2, tasks: [{ key: OWN, token: 1 }] });
    await admit(batch);
    await keeper(batch).run(OWN, () => 1, {});
    await end(batch, ending('succeeded'));
    expect(guard.of('release')).toEqual([{ token: 1, status: 'succeeded', result: 1 }]);
  });

  it('G2 dies without a guard: what it held is failed, though nobody here has ever been told that it stands', async () => {
    const { guard, admit, guarded, settle, clock } = worker();
    await guard.acquire(OWN, { requestId: 'x', runId: 'r' });
    const batch = batchOf({ attempt: 2, tasks: [{ key: OWN, token: 1 }] });
    guard.isAway = true;
    const told = expect(admit(batch)).rejects.toMatchObject({ code: 'retry_later' });
    await clock.advance(WITHIN_MS);
    await told;
    expect(guarded.heldTasks('r')).toEqual(batch.tasks);
    guard.isAway = false;
    await guarded.ending(sessionKey, batch, ending('failed'), HERE);
    await settle(batch, 'ended');
    expect([await guard.stateOf(OWN), clock.waiting]).toEqual(['failed', 0]);
  });
});
