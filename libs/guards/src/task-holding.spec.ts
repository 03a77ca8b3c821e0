import { describe, expect, it } from 'vitest';
import type { ReleaseAnswer, ReleaseRequest, RenewAnswer, RenewRequest } from '#contracts';
import { silentLogger } from '#telemetry';
import { ManualClock, settled } from '#testing';
import { GuardRefusedError, type GuardCallOptions } from './guard.client.js';
import { TaskHolding, TaskLostError, type TaskHoldingOptions } from './task-holding.js';

const TTL_MS = 30_000;
const THIRD_MS = 10_000;
const RELEASED = { kind: 'released', state: 'failed' } as const;
const AWAY = new Error('nobody answers');

type Answer<T> = T | Error | Promise<T>;

/** A guard that answers as the spec says; without a word it renews, and releases. */
class ManualGuard {
  readonly renewals: RenewRequest[] = [];
  readonly releases: { readonly key: string; readonly request: ReleaseRequest; readonly within?: number }[] = [];
  renewal: () => Answer<RenewAnswer> = () => ({ kind: 'renewed', expiresAt: 0 });
  releasing: () => Answer<ReleaseAnswer> = () => RELEASED;

  async renew(_key: string, request: RenewRequest): Promise<RenewAnswer> {
    this.renewals.push(request);
    return orThrow(await this.renewal());
  }

  async release(key: string, request: ReleaseRequest, { withinMs }: GuardCallOptions = {}): Promise<ReleaseAnswer> {
    this.releases.push({ key, request, ...(withinMs === undefined ? {} : { within: withinMs }) });
    return orThrow(await this.releasing());
  }
}

function orThrow<T>(answer: T | Error): T {
  if (answer instanceof Error) throw answer;
  return answer;
}

function setUp({ ageMs = 0, ...more }: Partial<TaskHoldingOptions> & { readonly ageMs?: number } = {}) {
  const clock = new ManualClock();
  const client = new ManualGuard();
  const warned: string[] = [];
  const log = { ...silentLogger, warn: (_fields: object, message: string) => void warned.push(message) };
  const since = clock.monotonic();
  clock.standStill(ageMs);
  const holding = new TaskHolding({ client, key: 'k', token: 7, ttlMs: TTL_MS, since, clock, log, ...more });
  return { clock, client, holding, warned };
}

describe('a holding', () => {
  it('that is renewed no more runs out, and may be released until then', async () => {
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

  it('counts its time from when it was asked for: a late answer has used some of it', async () => {
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

  it('is renewed at once when somebody wants to know, and once at a time from then on', async () => {
    const { clock, client, holding } = setUp();
    let answer: (answer: RenewAnswer) => void = () => {};
    client.renewal = () => new Promise((resolve) => (answer = resolve));
    await clock.advance(THIRD_MS);
    client.renewal = () => ({ kind: 'renewed', expiresAt: 0 });
    await holding.confirm(300);
    answer({ kind: 'renewed', expiresAt: 0 });
    await settled();
    expect([client.renewals.length, clock.waiting]).toEqual([2, 2]);
    await clock.advance(THIRD_MS);
    expect(client.renewals).toHaveLength(3);
    client.renewal = () => AWAY;
    await holding.confirm(300);
    expect(holding.lost.aborted).toBe(false);
    client.renewal = () => ({ kind: 'not_held', state: 'cancelled' });
    await holding.confirm(300);
    expect([holding.lost.aborted, clock.waiting]).toEqual([true, 0]);
  });

  it('says until when it lasts, by the wall clock', async () => {
    const { clock, holding } = setUp({ ageMs: 9_000 });
    expect(holding.expiresAt).toBe(clock.now() + TTL_MS - 9_000);
    await clock.advance(THIRD_MS);
    expect(holding.expiresAt).toBe(clock.now() - 9_000 + TTL_MS);
  });

  it('is renewed a third of its time after the last renewal was sent, however late that was answered', async () => {
    const { clock, client } = setUp();
    let answer: (answer: RenewAnswer) => void = () => {};
    client.renewal = () => new Promise((resolve) => (answer = resolve));
    await clock.advance(THIRD_MS + 4_000);
    answer({ kind: 'renewed', expiresAt: 0 });
    await clock.advance(THIRD_MS - 4_000 - 1);
    expect(client.renewals).toHaveLength(1);
    await clock.advance(1);
    expect(client.renewals).toHaveLength(2);
  });

  it('is renewed no more also when the answer to a renewal comes after that was said', async () => {
    const { clock, client, holding } = setUp();
    let answer: (answer: RenewAnswer) => void = () => {};
    client.renewal = () => new Promise((resolve) => (answer = resolve));
    await clock.advance(THIRD_MS);
    holding.renewNoMore();
    answer({ kind: 'renewed', expiresAt: 0 });
    await settled();
    expect(clock.waiting).toBe(0);
  });

  it('survives renewals that are lost, and tries each second then', async () => {
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

  it('by its own clock when nobody renewed it in time, not before and not after', async () => {
    const { clock, client, holding } = setUp();
    client.renewal = () => AWAY;
    await clock.advance(TTL_MS - 1);
    expect(holding.lost.aborted).toBe(false);
    await clock.advance(1);
    expect(holding.lost.aborted).toBe(true);
    expect(String(holding.lost.reason)).toContain('nobody renewed it in time');
    await settled();
    expect(clock.waiting).toBe(0);
  });

  it('in time also while a renewal waits for its answer, which comes too late', async () => {
    const { clock, client, holding } = setUp();
    let answer: (answer: RenewAnswer) => void = () => {};
    client.renewal = () => new Promise((resolve) => (answer = resolve));
    await clock.advance(TTL_MS);
    expect([client.renewals.length, holding.lost.aborted]).toEqual([1, true]);
    answer({ kind: 'renewed', expiresAt: 0 });
    await clock.advance(TTL_MS);
    expect([client.renewals.length, clock.waiting]).toEqual([1, 0]);
  });

  it('in time also when that is no whole second', async () => {
    const { clock, client, holding } = setUp({ ttlMs: 1_500 });
    client.renewal = () => new Promise(() => {});
    await clock.advance(1_499);
    expect(holding.lost.aborted).toBe(false);
    await clock.advance(1);
    expect(holding.lost.aborted).toBe(true);
  });

  it('from when the last renewal was sent that was answered', async () => {
    const { clock, client, holding } = setUp();
    let answer: (answer: RenewAnswer) => void = () => {};
    client.renewal = () => new Promise((resolve) => (answer = resolve));
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
  ])('within a second when %s: timers do not know', async (_title, happen) => {
    const { clock, client, holding } = setUp();
    await clock.advance(500);
    happen(clock);
    await clock.advance(1_000);
    expect([holding.lost.aborted, client.renewals.length]).toEqual([true, 0]);
  });

  it('at once when the process goes on after it was stopped', async () => {
    const { clock, client, holding } = setUp();
    clock.standStill(TTL_MS);
    await clock.advance(0);
    expect([holding.lost.aborted, client.renewals.length]).toEqual([true, 0]);
  });

  it('not when the process was stopped for less than its time', async () => {
    const { clock, client, holding } = setUp();
    clock.standStill(TTL_MS - 1_000);
    await clock.advance(0);
    await settled();
    expect([holding.lost.aborted, client.renewals.length]).toEqual([false, 1]);
    await clock.advance(TTL_MS);
    expect(holding.lost.aborted).toBe(false);
  });

  it('not by a wall clock that was set back, though that goes on for longer', async () => {
    const { clock, client, holding } = setUp();
    clock.setWall(-3_600_000);
    client.renewal = () => AWAY;
    await clock.advance(TTL_MS - 1);
    expect(holding.lost.aborted).toBe(false);
    await clock.advance(1);
    expect(holding.lost.aborted).toBe(true);
  });
});

describe('a holding that stays open without a guard', () => {
  it('goes on, and is renewed when somebody answers', async () => {
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

  it('is lost when somebody answers that it is', async () => {
    const { clock, client, holding } = setUp({ whenUnavailable: 'open' });
    client.renewal = () => AWAY;
    await clock.advance(2 * TTL_MS);
    client.renewal = () => ({ kind: 'not_held', state: 'running', runId: 'r2' });
    await clock.advance(1_000);
    await settled();
    expect([holding.lost.aborted, clock.waiting]).toEqual([true, 0]);
  });
});

describe('a release', () => {
  it('tells how it ended, answers what the guard answers, and leaves no timer', async () => {
    const { clock, client, holding } = setUp();
    const error = { name: 'Oops', message: 'no' };
    expect(await holding.release({ status: 'failed', error })).toEqual(RELEASED);
    expect(client.releases).toEqual([{ key: 'k', request: { token: 7, status: 'failed', error } }]);
    expect(clock.waiting).toBe(0);
    await clock.advance(10 * TTL_MS);
    expect([client.renewals.length, holding.lost.aborted]).toEqual([0, false]);
  });

  it('waits for as long as it is told to, and may be made again', async () => {
    const { client, holding } = setUp();
    client.releasing = () => AWAY;
    await expect(holding.release({ status: 'succeeded' }, 300)).rejects.toThrow('nobody answers');
    expect(client.releases).toMatchObject([{ within: 300 }]);
    client.releasing = () => RELEASED;
    expect(await holding.release({ status: 'succeeded' })).toEqual(RELEASED);
  });

  it('is told also of a holding that was lost: it may be that nobody has come', async () => {
    const { clock, client, holding } = setUp();
    clock.standStill(TTL_MS);
    await clock.advance(0);
    await holding.release({ status: 'failed' });
    expect(client.releases).toHaveLength(1);
  });

  it('that its own renewal meets is no loss', async () => {
    const { clock, client, holding, warned } = setUp();
    let answer: (answer: ReleaseAnswer) => void = () => {};
    client.releasing = () => new Promise((resolve) => (answer = resolve));
    client.renewal = () => ({ kind: 'not_held', state: 'failed', runId: 'r1' });
    const releasing = holding.release({ status: 'failed' });
    await clock.advance(THIRD_MS);
    answer(RELEASED);
    await releasing;
    expect([client.renewals.length, holding.lost.aborted, warned, clock.waiting]).toEqual([1, false, [], 0]);
  });

  it('at last is tried until there is an answer; meanwhile it is renewed (G2)', async () => {
    const { clock, client, holding, warned } = setUp();
    client.releasing = () => AWAY;
    let isOver = false;
    void holding.releaseAtLast({ status: 'failed' }).then(() => (isOver = true));
    await clock.advance(2 * TTL_MS);
    expect([client.releases.length, isOver, holding.lost.aborted]).toEqual([61, false, false]);
    expect([client.renewals.length, warned.length]).toEqual([6, 61]);
    client.releasing = () => RELEASED;
    await clock.advance(1_000);
    await settled();
    expect([client.releases.length, isOver, clock.waiting]).toEqual([62, true, 0]);
  });

  it('at last ends also by the answer that somebody else has it', async () => {
    const { client, holding } = setUp();
    client.releasing = () => ({ kind: 'not_held', state: 'running', runId: 'r2' });
    await holding.releaseAtLast({ status: 'failed' });
    expect(client.releases).toHaveLength(1);
  });

  it('at last is given up when the guard never will take it', async () => {
    const { clock, client, holding, warned } = setUp();
    client.releasing = () => new GuardRefusedError('no such field');
    await holding.releaseAtLast({ status: 'failed' });
    expect([client.releases.length, clock.waiting, warned]).toEqual([1, 0, ['a task cannot be released']]);
  });

  it('at last ends when it is let go, at once and without a timer', async () => {
    const { clock, client, holding } = setUp();
    client.releasing = () => AWAY;
    const releasing = holding.releaseAtLast({ status: 'failed' });
    await clock.advance(2_500);
    holding.letGo();
    await releasing;
    expect(clock.waiting).toBe(0);
    await clock.advance(TTL_MS);
    expect(client.releases).toHaveLength(3);
  });

  it('at last ends when it is let go while the guard is asked', async () => {
    const { clock, client, holding } = setUp();
    client.releasing = () => (holding.letGo(), AWAY);
    await holding.releaseAtLast({ status: 'failed' });
    expect([client.releases.length, clock.waiting]).toEqual([1, 0]);
  });
});

describe('a holding that is let go', () => {
  it('leaves no timer and says nothing', async () => {
    const { clock, client, holding } = setUp();
    holding.letGo();
    expect(clock.waiting).toBe(0);
    await clock.advance(10 * TTL_MS);
    expect([client.renewals.length, client.releases.length, holding.lost.aborted]).toEqual([0, 0, false]);
  });

  it.each<[string, Answer<RenewAnswer>]>([
    ['renewed', { kind: 'renewed', expiresAt: 0 }],
    ['not held', { kind: 'not_held', state: 'none' }],
    ['nothing', AWAY],
  ])('takes no notice of an answer that comes then: %s', async (_title, late) => {
    const { clock, client, holding } = setUp();
    let answer: (answer: RenewAnswer) => void = () => {};
    client.renewal = () => new Promise<Answer<RenewAnswer>>((resolve) => (answer = resolve)) as Promise<RenewAnswer>;
    await clock.advance(THIRD_MS);
    holding.letGo();
    answer(late as RenewAnswer);
    await settled();
    expect([clock.waiting, holding.lost.aborted]).toEqual([0, false]);
  });
});
