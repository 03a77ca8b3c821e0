import { describe, expect, it } from 'vitest';
import type { Batch, Ending } from '#lanes';
import { settled as promisesSettled } from '#testing';
import { batchOf, sessionKey, TASK, TTL_MS, WITHIN_MS } from './guard.fixture.js';
import { HERE, withTask, ending, fails, worker } from './guarded-runs.fixture.js';

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
