import { describe, expect, it } from 'vitest';
import { jsonText } from '#contracts';
import type { AttemptFate } from '#lanes';
import { settled } from '#testing';
import { batchOf, gate, sessionKey, TASK, TTL_MS, WITHIN_MS } from './guard.fixture.js';
import { HERE, OWN, withTask, ending, worker } from './guarded-runs.fixture.js';

describe('a run that continues elsewhere', () => {
  it('G4 takes its tasks along, and gets a greater token for its next attempt: this worker releases and renews nothing any more', async () => {
    const { admit, guarded, settle, guard, clock } = worker();
    await admit(withTask());
    const tasks = guarded.heldTasks('r');
    await settle(withTask(), 'again-elsewhere');
    expect([clock.waiting, guard.asked.length]).toEqual([0, 1]);
    const there = worker({ beside: { guard, clock } });
    const batch = withTask({ attempt: 2, tasks });
    expect(await there.admit(batch)).toMatchObject({ kind: 'go', holding: { token: 3 } });
    await clock.advance(3 * TTL_MS);
    await there.end(batch, ending('succeeded'));
    expect(guard.of('acquire').map(({ formerToken }) => formerToken)).toEqual([undefined, 1]);
    expect(await guard.stateOf(TASK)).toBe('succeeded');
  });

  it('without holdings that are over', async () => {
    const { admit, guard } = worker();
    await guard.acquire(TASK, { requestId: 'x', runId: 'r' });
    await guard.end(TASK, { by: 'operator' });
    const batch = withTask({ attempt: 2, tasks: [{ key: TASK, token: 1 }] });
    expect(await admit(batch)).toMatchObject({ kind: 'go', holding: { token: 3 } });
  });

  it('G1 nor with a task that still has running work here: it is freed when the work has stopped', async () => {
    const { keeper, guarded, settle, guard, clock } = worker();
    const stop = gate();
    void keeper(batchOf()).run(OWN, () => stop.promise, {});
    await settled();
    expect(guarded.heldTasks('r')).toEqual([]);
    await settle(batchOf(), 'again-elsewhere');
    await clock.advance(TTL_MS / 2);
    expect(await guard.stateOf(OWN)).toBe('running');
    stop.resolve();
    await settled();
    expect([await guard.stateOf(OWN), clock.waiting]).toEqual(['cancelled', 0]);
  });
});

describe('a run that waited for its next attempt', () => {
  it('acquires its task again when an operator took it away meanwhile, and is refused when another run holds it', async () => {
    const { admit, settle, guard } = worker();
    await admit(withTask());
    await settle(withTask(), 'again');
    await guard.end(TASK, { by: 'ann' });
    expect(await admit(withTask({ attempt: 2 }))).toMatchObject({ kind: 'go', holding: { token: 3 } });
    await settle(withTask(), 'again');
    await guard.end(TASK, { by: 'ann' });
    await guard.acquire(TASK, { requestId: 'x', runId: 'another' });
    const refused = { kind: 'refused', refusal: { reason: 'already_running', data: { runId: 'another' } } };
    expect(await admit(withTask({ attempt: 3 }))).toMatchObject(refused);
  });

  it.each<[AttemptFate, string[]]>([
    ['ended', ['cancelled']],
    // Another worker may continue with the tasks in its record.
    ['discarded', []],
    ['again-elsewhere', []],
  ])('that is %s is released by its record as %j', async (how, statuses) => {
    const { guard, settle, clock } = worker();
    await guard.acquire(OWN, { requestId: 'x', runId: 'r' });
    await settle(batchOf({ tasks: [{ key: OWN, token: 1 }] }), how);
    expect(guard.of('release')).toEqual(statuses.map((status) => ({ token: 1, status })));
    guard.isAway = true;
    await settle(batchOf({ tasks: [{ key: OWN, token: 1 }] }), how);
    await clock.advance(WITHIN_MS);
  });

  it('and was lost with its shard is forgotten: its next owner may hold the same token', async () => {
    const { admit, settle, guarded, guard, clock } = worker();
    await admit(withTask());
    await settle(withTask(), 'again');
    guarded.attemptOver(sessionKey, { runId: 'r', tasks: [{ key: TASK, token: 1 }] }, 'discarded', { isLeaked: false });
    await clock.advance(TTL_MS - 1);
    expect([await guard.stateOf(TASK), guard.of('release'), clock.waiting]).toEqual(['running', [], 0]);
  });

  it('is released by a note too', async () => {
    const { admit, settle, guard, clock } = worker();
    await admit(withTask());
    await settle(withTask(), 'again');
    await clock.advance(3 * TTL_MS);
    await settle(withTask(), 'ended');
    expect([await guard.stateOf(TASK), clock.waiting]).toEqual(['cancelled', 0]);
  });

  it('does not report finished tasks twice at its end', async () => {
    const { guard, keeper, admit, end } = worker();
    await guard.acquire(OWN, { requestId: 'x', runId: 'r' });
    const batch = batchOf({ attempt: 2, tasks: [{ key: OWN, token: 1 }] });
    await admit(batch);
    await keeper(batch).run(OWN, () => 1, {});
    await end(batch, ending('succeeded'));
    expect(guard.of('release')).toEqual([{ token: 3, status: 'succeeded', result: jsonText(1) }]);
  });

  it('G2 and dies without a guard: its tasks are failed, although no guard ever confirmed them here', async () => {
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
