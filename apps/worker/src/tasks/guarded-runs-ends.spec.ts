import { describe, expect, it } from 'vitest';
import type { Batch, AttemptFate } from '#lanes';
import { settled } from '#testing';
import { batchOf, gate, guardedWorker, sessionKey, TASK, TTL_MS, WITHIN_MS } from './guard.fixture.js';
import { HERE, LEAKED, OWN, withTask, ending, fails, worker } from './guarded-runs.fixture.js';

describe('tasks of a turn', () => {
  it('G2 a task that threw is failed before the record of its turn, also when the turn succeeds anyway', async () => {
    const { keeper, end, guard } = worker();
    await expect(keeper(batchOf()).run(OWN, fails, {})).rejects.toThrow('no');
    const { before, after } = await end(batchOf(), ending('succeeded'));
    expect(before.at(-1)?.request).toEqual({ token: 1, status: 'failed', error: { name: 'Error', message: 'no' } });
    expect([after, await guard.stateOf(OWN)]).toEqual([[], 'failed']);
  });

  it('a task of a cancelled turn is freed as soon as its work has stopped', async () => {
    const { keeper, end, guard } = worker();
    const stop = gate();
    let signal: AbortSignal | undefined;
    void keeper(batchOf()).run(OWN, (held) => ((signal = held.signal), stop.promise), {});
    await settled();
    await end(batchOf(), ending('cancelled'));
    expect([signal?.aborted, await guard.stateOf(OWN)]).toEqual([true, 'running']);
    stop.resolve();
    await settled();
    expect(await guard.stateOf(OWN)).toBe('cancelled');
  });

  it('all tasks stop with their turn, whichever call began them', async () => {
    const { keeper, end, kept } = worker();
    const seen: AbortSignal[] = [];
    for (const key of [OWN, 'ops::other']) {
      const stops = (signal: AbortSignal) =>
        new Promise((resolve) => (seen.push(signal), signal.addEventListener('abort', resolve)));
      void keeper(batchOf()).run(key, ({ signal }) => stops(signal), {});
    }
    await settled();
    await end(batchOf(), ending('cancelled'));
    await settled();
    expect([seen.map(({ aborted }) => aborted), kept()]).toEqual([[true, true], []]);
  });

  it('a task that the handler did not await is failed with its turn', async () => {
    const { keeper, end, guard } = worker();
    const stop = gate();
    const told = keeper(batchOf()).run(OWN, () => stop.promise, {});
    await settled();
    const { before } = await end(batchOf(), ending('succeeded'));
    expect(before.at(-1)?.request).toMatchObject({ status: 'failed', error: { name: 'unfinished' } });
    stop.resolve();
    await told;
    expect(guard.of('release')).toHaveLength(1);
  });

  it.each<AttemptFate>(['ended', 'again', 'again-elsewhere', 'discarded'])(
    'G2 a leaked handler fails all that its run holds (%s)',
    async (how) => {
      const { admit, keeper, end, settle, guard } = worker();
      const batch = withTask();
      await admit(batch);
      void keeper(batch).run(OWN, () => gate().promise, {});
      await settled();
      await (how === 'ended' ? end(batch, ending('timed_out'), LEAKED) : settle(batch, how, LEAKED));
      expect([await guard.stateOf(TASK), await guard.stateOf(OWN)]).toEqual(['failed', 'failed']);
    },
  );

  it.each<[AttemptFate, string | undefined, number]>([
    ['ended', 'cancelled', 2],
    ['discarded', 'running', 2],
    ['again-elsewhere', 'running', 2],
    ['again', 'running', 1],
  ])('a task that may have been granted, after its attempt is %s, is %s', async (how, state, requests) => {
    const { admit, settle, guard, clock } = worker();
    guard.losesReplies = true;
    const lost = expect(admit(withTask())).rejects.toMatchObject({ code: 'retry_later' });
    await clock.advance(WITHIN_MS);
    await lost;
    guard.losesReplies = false;
    await settle(withTask(), how);
    expect(await guard.stateOf(TASK)).toBe(state);
    await admit(withTask({ attempt: 2 })).catch(() => {});
    // The same run asks here with the same request. A run of it elsewhere must not be taken for it.
    expect(new Set(guard.of('acquire').map(({ requestId }) => requestId)).size).toBe(requests);
  });

  it('a turn that dies while no guard answers ends within a bound, and its tasks are failed later', async () => {
    const { admit, guarded, settle, guard, clock } = worker();
    await admit(withTask());
    guard.isAway = true;
    let isTold = false;
    void guarded.ending(sessionKey, withTask(), ending('failed'), HERE)?.then(() => (isTold = true));
    await clock.advance(WITHIN_MS);
    await settled();
    expect(isTold).toBe(true);
    await settle(withTask(), 'ended');
    guard.isAway = false;
    await clock.advance(2 * WITHIN_MS);
    expect([await guard.stateOf(TASK), clock.waiting]).toEqual(['failed', 0]);
  });

  it.each<[string, Partial<Batch>]>([
    ['its last attempt failed', {}],
    ['it ended its workers', { isCondemned: true }],
  ])(
    'G2 a task whose turn is dead (%s) stays failed when its worker is killed before the guard is back',
    async (_why, more) => {
      const { admit, guarded, settle, guard, clock } = worker();
      const batch = withTask(more);
      await admit(batch);
      guard.isAway = true;
      let isRecorded = false;
      void guarded
        .ending(sessionKey, batch, ending('failed', { name: 'Error', message: 'no' }), HERE)
        ?.then(() => (isRecorded = true));
      await clock.advance(WITHIN_MS);
      await settled();
      expect(isRecorded).toBe(true);
      await settle(batch, 'ended');
      // As with kill -9: this worker sends nothing any more.
      guarded.close();
      await clock.advance(2 * TTL_MS);
      guard.isAway = false;
      const other = guardedWorker({ beside: { clock, guard } });
      const answer = await other.guarded.admit({ key: sessionKey, batch: withTask({ runId: 'r2' }) } as never);
      expect(answer).toMatchObject({ kind: 'refused', refusal: { reason: 'approval_required' } });
      expect((await guard.guard.get(TASK))?.error).toEqual({ name: 'Error', message: 'no' });
    },
  );

  it('a task that was only cut writes no failure when the guard is away: it is free after its ttlMs', async () => {
    const { admit, settle, guard, clock } = worker();
    await admit(withTask());
    guard.isAway = true;
    await settle(withTask(), 'discarded');
    await clock.advance(WITHIN_MS);
    expect(guard.failures.reported.size).toBe(0);
  });

  it.each<AttemptFate>(['discarded', 'ended'])(
    'G2 one that failed by itself before its turn was cut (%s) asks for an approval; what was cut itself is free',
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
      await settled();
      expect([await guard.stateOf(OWN), await guard.stateOf('ops::other')]).toEqual(['failed', 'cancelled']);
    },
  );
});

describe('an attempt whose result does not count', () => {
  it('G1 keeps its tasks until its handler has stopped, and then frees them', async () => {
    const { admit, guarded, settle, guard, clock, kept } = worker();
    const handler = gate();
    const done = guarded.following('r', handler.promise);
    await admit(withTask());
    await settle(withTask(), 'discarded');
    await clock.advance(TTL_MS / 2);
    expect(await guard.stateOf(TASK)).toBe('running');
    handler.resolve();
    await done;
    await settled();
    expect([guard.of('release'), clock.waiting, kept()]).toEqual([[{ token: 1, status: 'interrupted' }], 0, []]);
  });

  it('G1 does not pass them to the same run that runs again here, nor ends the holdings of that run', async () => {
    const { admit, guarded, settle, guard } = worker();
    const zombie = gate();
    void guarded.following('r', zombie.promise);
    await admit(withTask());
    await settle(withTask(), 'discarded');
    await expect(admit(withTask({ attempt: 2 }))).rejects.toMatchObject({ retryAfterMs: 1_000 });
    await settle(withTask(), 'again');
    const handler = gate();
    zombie.resolve();
    await settled();
    void guarded.following('r', handler.promise);
    expect(await admit(withTask({ attempt: 2 }))).toMatchObject({ kind: 'go', holding: { token: 3 } });
    await settled();
    expect([guard.of('release').length, await guard.stateOf(TASK)]).toEqual([1, 'running']);
  });

  it('G1 waits for the work under a task too', async () => {
    const { keeper, settle, guard } = worker();
    const stop = gate();
    void keeper(batchOf()).run(OWN, () => stop.promise, {});
    await settled();
    await settle(batchOf(), 'discarded');
    expect(await guard.stateOf(OWN)).toBe('running');
    stop.resolve();
    await settled();
    expect(guard.of('release')).toEqual([{ token: 1, status: 'interrupted' }]);
  });

  it('G3 gives back a task that is granted too late', async () => {
    const { admit, settle, guard, clock, kept } = worker();
    guard.slowMs = 300;
    const told = expect(admit(withTask())).rejects.toThrow('is over');
    await clock.advance(100);
    await settle(withTask(), 'discarded');
    await clock.advance(1_000);
    await told;
    expect([await guard.stateOf(TASK), clock.waiting, kept()]).toEqual(['cancelled', 0, []]);
  });

  it('whose handler never stops holds its task for at most its ttlMs (G3)', async () => {
    const { admit, guarded, settle, guard, clock } = worker();
    await admit(withTask());
    void guarded.following('r', new Promise(() => {}));
    await settle(withTask(), 'discarded');
    await clock.advance(TTL_MS);
    expect(await guard.stateOf(TASK)).toBe('stale');
  });
});
