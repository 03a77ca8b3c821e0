import { describe, expect, it } from 'vitest';
import type { Batch, Ending } from '#lanes';
import { ManualClock, settled } from '#testing';
import { batchOf, sessionKey, TASK, TTL_MS, WITHIN_MS } from './guard.fixture.js';
import { HERE, OWN, withTask, ending, fails, worker } from './guarded-runs.fixture.js';

const stopped = (signal: AbortSignal) => new Promise((resolve) => signal.addEventListener('abort', resolve));

describe('the task of a message', () => {
  it('is acquired before its turn begins, and freed after the record of a success', async () => {
    const { admit, end, guard, guarded, clock, kept } = worker();
    const batch = withTask({ task: { key: TASK, ttlMs: 5_000, stale: 'approve' } });
    expect(await admit(batch)).toMatchObject({ kind: 'go', holding: { key: TASK, token: 1 } });
    const [request] = guard.of('acquire');
    expect(request).toMatchObject({ runId: 'r', owner: 'main/telegram:42', ttlMs: 5_000, stale: 'approve' });
    expect(guarded.heldTasks('r')).toEqual([{ key: TASK, token: 1 }]);
    const { before, after } = await end(batch, ending('succeeded'));
    expect([before.length, after.map(({ request }) => request)]).toEqual([1, [{ token: 1, status: 'succeeded' }]]);
    expect([await guard.stateOf(TASK), clock.waiting, kept()]).toEqual(['succeeded', 0, []]);
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

  it('is refused to the second run, and to a run after a failure', async () => {
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

  it('a check while no guard answers refuses nothing', async () => {
    const { guarded, guard } = worker();
    guard.isAway = true;
    expect(await guarded.lookAtTask(sessionKey, { key: TASK })).toBeUndefined();
  });

  it('a message right after the end in this worker waits for the release', async () => {
    const { admit, end, guard, guarded, clock } = worker();
    await admit(withTask());
    guard.slowMs = 50;
    await end(withTask(), ending('succeeded'));
    const looked = guarded.lookAtTask(sessionKey, { key: TASK });
    const next = admit(withTask({ runId: 'next' }));
    await settled();
    expect(guard.looks).toEqual([]);
    await clock.advance(100);
    expect([await looked, (await next).kind]).toEqual([undefined, 'go']);
  });

  it('a check during the record that ends the run waits for the release after it', async () => {
    const { admit, guard, guarded, clock } = worker();
    await admit(withTask());
    guard.slowMs = 50;
    await guarded.ending(sessionKey, withTask(), ending('succeeded'), HERE);
    // In this order: the lane asks when the record is stored, before its runner hears how the attempt ended.
    const looked = guarded.lookAtTask(sessionKey, { key: TASK });
    await settled();
    expect(guard.looks).toEqual([]);
    expect(await guarded.lookAtTask(sessionKey, { key: OWN })).toBeUndefined();
    expect(guard.looks).toEqual([OWN]);
    guarded.attemptOver(sessionKey, withTask(), 'ended', HERE);
    await clock.advance(100);
    expect([await looked, await guard.stateOf(TASK)]).toEqual([undefined, 'succeeded']);
    expect(guard.looks).toEqual([OWN, TASK]);
  });

  it('a check sees the end also of a turn whose first record could not be made', async () => {
    const { admit, end, guard, guarded } = worker();
    await admit(withTask());
    await guarded.ending(sessionKey, withTask(), ending('succeeded'), HERE);
    const looked = guarded.lookAtTask(sessionKey, { key: TASK });
    await settled();
    await end(withTask(), ending('failed'));
    expect([(await looked)?.reason, guard.looks]).toEqual(['approval_required', [TASK]]);
  });

  it('work of its own turn with the same name is not a second holding, and does not end it', async () => {
    const { admit, keeper, end, guard } = worker();
    const batch = withTask();
    await admit(batch);
    expect(await keeper(batch).run(TASK, ({ token }) => token, {})).toEqual({ kind: 'ran', result: 1 });
    await expect(keeper(batch).run(TASK, fails, {})).rejects.toThrow('no');
    expect([guard.asked.length, await guard.stateOf(TASK)]).toEqual([1, 'running']);
    await end(batch, ending('succeeded'));
    expect(await guard.stateOf(TASK)).toBe('succeeded');
  });

  it('that was lost while its turn worked under its name still gets the result of that work', async () => {
    const { admit, keeper, end, guard, clock } = worker();
    const batch = withTask();
    await admit(batch);
    const lost = expect(keeper(batch).run(TASK, ({ signal }) => stopped(signal), {})).rejects.toThrow(
      'not held any more',
    );
    await guard.end(TASK, { by: 'ann' });
    await clock.advance(TTL_MS / 3);
    await lost;
    expect((await end(batch, ending('failed'))).before.at(-1)).toMatchObject({ operation: 'release' });
  });

  it('runs again unguarded when its own run has done it, and without a guard when the settings say so', async () => {
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

  it('G2 of a condemned run is failed by run id, because this worker does not have its token', async () => {
    const { admit, guard, end, clock } = worker();
    await admit(withTask());
    const other = worker({ beside: { guard, clock } });
    const condemned = withTask({ isCondemned: true });
    await other.end(condemned, ending('failed', { name: 'worker_crashed', message: 'm' }));
    expect(guard.of('end')).toEqual([
      { by: 'w2', runId: 'r', status: 'failed', error: { name: 'worker_crashed', message: 'm' } },
    ]);
    expect(await guard.stateOf(TASK)).toBe('failed');
    await end(batchOf({ runId: 'x', isCondemned: true }), ending('failed'));
    expect(guard.of('end')).toHaveLength(1);
  });

  it.each<[string, Partial<Batch>]>([
    ['without holdings of its own', {}],
    ['with what stands in its record', { tasks: [{ key: OWN, token: 9 }] }],
  ])('G2 of a condemned run is failed before the record is written (%s)', async (_title, more) => {
    const { guarded, guard, clock } = worker();
    guard.slowMs = 50;
    let isTold = false;
    const condemned = withTask({ isCondemned: true, ...more });
    void guarded.ending(sessionKey, condemned, ending('failed'), HERE)?.then(() => (isTold = true));
    await clock.advance(49);
    expect([isTold, guard.of('end').length]).toEqual([false, 1]);
    await clock.advance(1);
    await settled();
    expect(isTold).toBe(true);
  });

  it.each<Ending['status']>(['failed', 'timed_out'])(
    'G2 of a run that cannot wait for the end of the holding of its dead worker is failed with its turn, not free when that ends (%s)',
    async (status) => {
      const { admit, guard, clock } = worker();
      await admit(withTask());
      const other = worker({ beside: { guard, clock } });
      const again = withTask({ attempt: 2, crashes: 1 });
      const putOff = { code: 'retry_later', retryAfterMs: TTL_MS + 100 };
      await expect(other.admit(again)).rejects.toMatchObject(putOff);
      const error = { name: 'E', message: 'put off for too long' };
      const { before } = await other.end(again, ending(status, error));
      expect(before.at(-1)).toMatchObject({ operation: 'end', request: { runId: 'r', status: 'failed', error } });
      await clock.advance(TTL_MS);
      expect(await guard.stateOf(TASK)).toBe('failed');
    },
  );

  it.each([
    [-600_000, TTL_MS + 100],
    [600_000, 1_000],
  ])(
    'where the clock of its worker is %d ms off that of the guard, its end is waited for %d ms',
    async (byMs, retryAfterMs) => {
      const { admit, guard } = worker();
      await admit(withTask());
      const clock = new ManualClock();
      clock.setWall(byMs);
      const other = worker({ beside: { guard, clock } });
      const again = withTask({ attempt: 2, crashes: 1 });
      await expect(other.admit(again)).rejects.toMatchObject({ code: 'retry_later', retryAfterMs });
    },
  );

  it.each<[string, Partial<Batch>, Ending['status']]>([
    ['was refused', { crashes: 1 }, 'rejected'],
    ['was cancelled', { crashes: 1 }, 'cancelled'],
    ['never had it', {}, 'failed'],
  ])('is not reported to the guard when its run %s', async (_title, more, status) => {
    const { end, guard } = worker();
    await end(withTask(more), ending(status));
    expect(guard.asked).toEqual([]);
  });

  it('G2 of a run that acquired it again after a crash is released once, by its token', async () => {
    const { admit, end, guard } = worker();
    const again = withTask({ attempt: 2, crashes: 1 });
    await admit(again);
    await end(again, ending('failed'));
    expect(guard.asked.map(({ operation }) => operation)).toEqual(['acquire', 'release']);
  });
});

it('close() leaves no timers and sends no renewal or release any more', async () => {
  const { admit, guarded, guard, clock } = worker();
  await admit(withTask());
  guard.isAway = true;
  const told = guarded.ending(sessionKey, withTask({ runId: 'x', isCondemned: true }), ending('failed'), HERE);
  await clock.advance(WITHIN_MS);
  await told;
  expect(clock.waiting).toBeGreaterThan(0);
  guarded.close();
  expect(clock.waiting).toBe(0);
  await clock.advance(TTL_MS);
  expect([guard.of('end').length, guard.of('release').length]).toEqual([1, 0]);
});

describe('a turn without tasks', () => {
  it('sends no request, waits for no answer, and leaves no state behind', async () => {
    const { admit, guarded, guard, settle, clock } = worker();
    expect(await admit(batchOf())).toEqual({ kind: 'go' });
    expect(guarded.ending(sessionKey, batchOf(), ending('failed'), HERE)).toBeUndefined();
    for (const how of ['ended', 'again', 'again-elsewhere', 'discarded'] as const) await settle(batchOf(), how);
    expect([guarded.heldTasks('r'), guard.asked, clock.waiting]).toEqual([[], [], 0]);
  });
});
