import { describe, expect, it } from 'vitest';
import { settled, type ManualClock } from '#testing';
import { TaskLostError } from './task-holding.js';
import { AWAY, RELEASED, setUp, THIRD_MS, TTL_MS } from './task-holding.fixture.js';

describe('a holding', () => {
  it('that is no longer renewed expires, and may be released until then', async () => {
    const { clock, client, holding } = setUp();
    holding.renewNoMore();
    await clock.advance(2 * TTL_MS);
    expect([client.renewals, clock.waiting, holding.lost.aborted]).toEqual([[], 0, false]);
    expect(await holding.release({ status: 'interrupted' })).toEqual(RELEASED);
  });

  it('is renewed at a third of its time, again and again', async () => {
    const { clock, client, holding } = setUp();
    expect([holding.key, holding.token]).toEqual(['k', 7]);
    for (let renewals = 1; renewals <= 30; renewals++) {
      await clock.advance(THIRD_MS - 1);
      expect(client.renewals).toHaveLength(renewals - 1);
      await clock.advance(1);
      expect(client.renewals).toHaveLength(renewals);
    }
    expect(client.renewals[0]).toEqual({ token: 7 });
    expect(holding.lost.aborted).toBe(false);
  });

  it('counts its time from when it was requested: a late answer has used some of it', async () => {
    const { clock, client } = setUp({ ageMs: 9_000 });
    await clock.advance(1_000);
    expect(client.renewals).toHaveLength(1);
    const late = setUp({ ageMs: 25_000 });
    await late.clock.advance(0);
    await settled();
    expect([late.client.renewals.length, late.holding.lost.aborted]).toEqual([1, false]);
    const over = setUp({ ageMs: TTL_MS });
    await over.clock.advance(0);
    expect([over.client.renewals.length, over.holding.lost.aborted]).toEqual([0, true]);
  });

  it('says until when it lasts, by the wall clock', async () => {
    const { clock, holding } = setUp({ ageMs: 9_000 });
    expect(holding.expiresAt).toBe(clock.now() + TTL_MS - 9_000);
    await clock.advance(THIRD_MS);
    expect(holding.expiresAt).toBe(clock.now() - 9_000 + TTL_MS);
  });

  it('is renewed a third of its time after the last renewal was sent, however late that was answered', async () => {
    const { clock, client } = setUp();
    const answer = client.holdRenewal();
    await clock.advance(THIRD_MS + 4_000);
    answer({ kind: 'renewed', expiresAt: 0 });
    await clock.advance(THIRD_MS - 4_000 - 1);
    expect(client.renewals).toHaveLength(1);
    await clock.advance(1);
    expect(client.renewals).toHaveLength(2);
  });

  it('is no longer renewed, even when the answer to a renewal comes after `renewNoMore`', async () => {
    const { clock, client, holding } = setUp();
    const answer = client.holdRenewal();
    await clock.advance(THIRD_MS);
    holding.renewNoMore();
    answer({ kind: 'renewed', expiresAt: 0 });
    await settled();
    expect(clock.waiting).toBe(0);
  });

  it('survives lost renewals, and then tries every second', async () => {
    const { clock, client, holding, warned } = setUp();
    client.renewal = () => AWAY;
    await clock.advance(THIRD_MS);
    for (let more = 1; more < 19; more++) {
      await clock.advance(1_000);
      expect(client.renewals).toHaveLength(1 + more);
    }
    expect(warned).toHaveLength(19);
    client.renewal = () => ({ kind: 'renewed', expiresAt: 0 });
    await clock.advance(1_000);
    client.renewals.length = 0;
    await clock.advance(THIRD_MS - 1);
    expect(client.renewals).toHaveLength(0);
    await clock.advance(1);
    expect([client.renewals.length, holding.lost.aborted]).toEqual([1, false]);
  });

  it('that lasts a second is renewed often enough', async () => {
    const { clock, client, holding } = setUp({ ttlMs: 1_000 });
    client.renewal = () => (client.renewals.length % 2 === 0 ? AWAY : { kind: 'renewed', expiresAt: 0 });
    await clock.advance(10_000);
    expect(holding.lost.aborted).toBe(false);
    expect(client.renewals.length).toBeGreaterThanOrEqual(29);
  });
});

describe('a holding is lost', () => {
  it('when the guard says so, and is renewed no more', async () => {
    const { clock, client, holding, warned } = setUp();
    client.renewal = () => ({ kind: 'not_held', state: 'cancelled', runId: 'r2' });
    await clock.advance(THIRD_MS);
    await settled();
    expect(holding.lost.aborted).toBe(true);
    expect(holding.lost.reason).toBeInstanceOf(TaskLostError);
    expect(String(holding.lost.reason)).toContain('task "k" is not held any more (it is cancelled): stop');
    expect(warned).toEqual(['a task is lost']);
    expect(clock.waiting).toBe(0);
    await clock.advance(TTL_MS);
    expect(client.renewals).toHaveLength(1);
  });

  it('by its own clock when it was not renewed in time, not before and not after', async () => {
    const { clock, client, holding } = setUp();
    client.renewal = () => AWAY;
    await clock.advance(TTL_MS - 1);
    expect(holding.lost.aborted).toBe(false);
    await clock.advance(1);
    expect(holding.lost.aborted).toBe(true);
    expect(String(holding.lost.reason)).toContain('it was not renewed in time');
    await settled();
    expect(clock.waiting).toBe(0);
  });

  it('in time even while a renewal waits for its answer, which comes too late', async () => {
    const { clock, client, holding } = setUp();
    const answer = client.holdRenewal();
    await clock.advance(TTL_MS);
    expect([client.renewals.length, holding.lost.aborted]).toEqual([1, true]);
    answer({ kind: 'renewed', expiresAt: 0 });
    await clock.advance(TTL_MS);
    expect([client.renewals.length, clock.waiting]).toEqual([1, 0]);
  });

  it('in time even when its time is not in whole seconds', async () => {
    const { clock, client, holding } = setUp({ ttlMs: 1_500 });
    client.renewal = () => new Promise(() => {});
    await clock.advance(1_499);
    expect(holding.lost.aborted).toBe(false);
    await clock.advance(1);
    expect(holding.lost.aborted).toBe(true);
  });

  it('counted from the sending of the last answered renewal', async () => {
    const { clock, client, holding } = setUp();
    const answer = client.holdRenewal();
    await clock.advance(THIRD_MS + 5_000);
    client.renewal = () => AWAY;
    answer({ kind: 'renewed', expiresAt: 0 });
    await clock.advance(THIRD_MS + TTL_MS - clock.monotonic() + 5_000 - 1);
    expect(holding.lost.aborted).toBe(false);
    await clock.advance(1);
    expect(holding.lost.aborted).toBe(true);
  });

  it.each<[string, (clock: ManualClock) => void]>([
    ['the wall clock was set', (clock) => clock.setWall(TTL_MS)],
    ['the machine slept', (clock) => clock.sleep(TTL_MS)],
  ])('within a second when %s: timers do not notice', async (_title, happen) => {
    const { clock, client, holding } = setUp();
    await clock.advance(500);
    happen(clock);
    await clock.advance(1_000);
    expect([holding.lost.aborted, client.renewals.length]).toEqual([true, 0]);
  });

  it('at once when the process resumes after it was paused', async () => {
    const { clock, client, holding } = setUp();
    clock.standStill(TTL_MS);
    await clock.advance(0);
    expect([holding.lost.aborted, client.renewals.length]).toEqual([true, 0]);
  });

  it('not when the process was paused for less than its time', async () => {
    const { clock, client, holding } = setUp();
    clock.standStill(TTL_MS - 1_000);
    await clock.advance(0);
    await settled();
    expect([holding.lost.aborted, client.renewals.length]).toEqual([false, 1]);
    await clock.advance(TTL_MS);
    expect(holding.lost.aborted).toBe(false);
  });

  it('not because the wall clock was set back, though `expiresAt` is later then', async () => {
    const { clock, client, holding } = setUp();
    clock.setWall(-3_600_000);
    client.renewal = () => AWAY;
    await clock.advance(TTL_MS - 1);
    expect(holding.lost.aborted).toBe(false);
    await clock.advance(1);
    expect(holding.lost.aborted).toBe(true);
  });
});

describe('a holding that continues without a guard', () => {
  it('continues, and is renewed when a guard answers', async () => {
    const { clock, client, holding } = setUp({ whenUnavailable: 'open' });
    client.renewal = () => AWAY;
    await clock.advance(3 * TTL_MS);
    clock.sleep(TTL_MS);
    await clock.advance(1_000);
    expect(holding.lost.aborted).toBe(false);
    client.renewal = () => ({ kind: 'renewed', expiresAt: 0 });
    await clock.advance(1_000);
    client.renewals.length = 0;
    await clock.advance(THIRD_MS);
    expect(client.renewals).toHaveLength(1);
  });

  it('is lost when a guard answers that it is', async () => {
    const { clock, client, holding } = setUp({ whenUnavailable: 'open' });
    client.renewal = () => AWAY;
    await clock.advance(2 * TTL_MS);
    client.renewal = () => ({ kind: 'not_held', state: 'running', runId: 'r2' });
    await clock.advance(1_000);
    await settled();
    expect([holding.lost.aborted, clock.waiting]).toEqual([true, 0]);
  });
});
