import { describe, expect, it } from 'vitest';
import { RetryLaterError } from '#contracts';
import { settled } from '#testing';
import { attemptOf, gate, guardedWorker, TTL_MS, UNBOUNDED_MS, WITHIN_MS, type GuardDouble } from './guard.fixture.js';

const { signal } = new AbortController();
const KEY = 'main/s::import';
const fails = (message = 'no') => Promise.reject(new Error(message));

describe('a task that an earlier attempt held', () => {
  it('and gave back while no guard answered is not awaited for its whole ttlMs: the release is sent soon', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const first = tasks.run(attemptOf(), KEY, () => void (guard.isAway = true), { signal });
    await settled();
    await clock.advance(WITHIN_MS);
    expect(await first).toEqual({ kind: 'ran', result: undefined });
    guard.isAway = false;
    const again = () => tasks.run(attemptOf(), KEY, () => fails('called twice'), { signal });
    await expect(again()).rejects.toMatchObject({ code: 'retry_later', retryAfterMs: 1_000 });
    // The running try, and the pause after it.
    await clock.advance(UNBOUNDED_MS + 1_000);
    expect(await again()).toEqual({ kind: 'done', runId: 'r' });
  });

  const former = async (guard: GuardDouble, runId = 'r') => {
    const answer = await guard.acquire(KEY, { requestId: 'former', runId, ttlMs: 5_000 });
    if (answer.kind !== 'acquired') throw new Error(answer.kind);
    return [{ key: KEY, token: answer.token }];
  };

  it('G4 continues with a greater token when it is still held', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const run = attemptOf();
    await tasks.grants.adopt(run, await former(guard));
    expect(tasks.holdings.keptBy('r')).toEqual([{ key: KEY, token: 1 }]);
    // For the time that this worker knows, whatever the clock of the guard shows.
    expect(guard.of('renew')).toEqual([{ token: 1, ttlMs: TTL_MS }]);
    await clock.advance(2 * TTL_MS);
    expect(await tasks.run(run, KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 9 });
    expect(guard.of('acquire').map(({ formerToken }) => formerToken)).toEqual([undefined, 1]);
  });

  it('is ignored when it is not held any more', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const held = await former(guard);
    await guard.release(KEY, { token: 1, status: 'cancelled' });
    const run = attemptOf();
    await tasks.grants.adopt(run, held);
    expect([tasks.holdings.holdsAny('r'), clock.waiting]).toEqual([false, 0]);
    expect(await tasks.run(run, KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 3 });
  });

  it('G2 is not forgotten while no guard answers', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const held = await former(guard);
    guard.isAway = true;
    const told = expect(tasks.grants.adopt(attemptOf(), held)).rejects.toThrow(RetryLaterError);
    await clock.advance(WITHIN_MS);
    await told;
    expect(tasks.holdings.keptBy('r')).toEqual(held);
    guard.isAway = false;
    const run = attemptOf();
    await tasks.grants.adopt(run, held);
    expect(await tasks.run(run, KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 3 });
    expect(clock.waiting).toBe(0);
  });

  it('is asked about until a guard has answered, and not again', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const held = await former(guard);
    guard.isAway = true;
    for (const attempt of [1, 2]) {
      const told = expect(tasks.grants.adopt(attemptOf(), held)).rejects.toThrow(RetryLaterError);
      await clock.advance(WITHIN_MS);
      await told;
      expect(guard.of('renew')).toHaveLength(attempt);
    }
    guard.isAway = false;
    for (const _attempt of [3, 4]) await tasks.grants.adopt(attemptOf(), held);
    expect(guard.of('renew')).toHaveLength(3);
    tasks.close();
  });

  it('G2 is not forgotten by a turn that continues without a guard', async () => {
    const { tasks, guard, clock } = guardedWorker({ whenUnavailable: 'open' });
    const held = await former(guard);
    guard.isAway = true;
    const adopted = tasks.grants.adopt(attemptOf(), held);
    await clock.advance(WITHIN_MS);
    await adopted;
    expect(tasks.holdings.keptBy('r')).toEqual(held);
    // No guard answered a moment ago, so do not wait again.
    const told = await tasks.run(attemptOf(), KEY, ({ token }) => ((guard.isAway = false), token), { signal });
    expect(told).toEqual({ kind: 'ran', result: 1 });
    expect(guard.of('renew')).toHaveLength(1);
    tasks.close();
  });

  it.each(['succeeded', 'failed', 'interrupted'] as const)(
    'G2 and no later attempt repeated is failed when its turn %s, with the reason that an earlier attempt failed',
    async (status) => {
      const { tasks, guard, kept } = guardedWorker();
      await tasks.grants.adopt(attemptOf(), await former(guard));
      if (status === 'interrupted') tasks.holdings.interrupt('r', undefined);
      else await tasks.holdings.beforeEnd('r', { status, error: { name: 'Other', message: 'of the turn' } }, false);
      await settled();
      const error = { name: 'former_attempt_failed' };
      expect(await guard.guard.get(KEY)).toMatchObject({ state: 'failed', error });
      expect(kept()).toEqual([]);
    },
  );

  it('that was released during the request stays released', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const held = await former(guard);
    guard.slowMs = 100;
    const told = tasks.grants.adopt(attemptOf(), held);
    tasks.holdings.letGo('r');
    await clock.advance(100);
    await told;
    expect([tasks.holdings.holdsAny('r'), clock.waiting]).toEqual([false, 0]);
  });
});

describe('a task that an earlier attempt acquired here', () => {
  async function failedOnce(...options: Parameters<typeof guardedWorker>) {
    const all = guardedWorker(...options);
    await expect(all.tasks.run(attemptOf(), KEY, () => fails(), { signal })).rejects.toThrow('no');
    return all;
  }

  it('G1 is confirmed before the next attempt works on it: an operator may have freed it for another run', async () => {
    const { tasks, guard } = await failedOnce();
    await guard.end(KEY, { by: 'ann' });
    await guard.acquire(KEY, { requestId: 'x', runId: 'another' });
    const told = await tasks.run(attemptOf(), KEY, () => fails('called'), { signal });
    expect(told).toMatchObject({ kind: 'already_running', runId: 'another', own: false });
    tasks.close();
  });

  it('is acquired again when an operator has freed it', async () => {
    const { tasks, guard, clock, kept } = await failedOnce();
    await guard.end(KEY, { by: 'ann' });
    expect(await tasks.run(attemptOf(), KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 3 });
    expect([clock.waiting, kept()]).toEqual([0, []]);
  });

  it('G4 is delayed when no guard answers: there is no greater token for it, and it stays held', async () => {
    const { tasks, guard, clock } = await failedOnce();
    guard.isAway = true;
    const told = expect(tasks.run(attemptOf(), KEY, () => fails('called'), { signal })).rejects.toThrow(
      RetryLaterError,
    );
    await clock.advance(WITHIN_MS);
    await told;
    expect(tasks.holdings.keptBy('r')).toEqual([{ key: KEY, token: 1, failures: 1 }]);
    guard.isAway = false;
    expect(await tasks.run(attemptOf(), KEY, ({ token }) => token, { signal })).toMatchObject({ kind: 'ran' });
  });

  it('continues with its token when no guard answers, if the settings allow it', async () => {
    const { tasks, guard, clock } = await failedOnce({ whenUnavailable: 'open' });
    guard.isAway = true;
    const told = tasks.run(attemptOf(), KEY, ({ token }) => ((guard.isAway = false), token), { signal });
    await clock.advance(WITHIN_MS);
    expect(await told).toEqual({ kind: 'ran', result: 1 });
  });

  it('G4 whose greater token did not arrive gets the same token when it asks again', async () => {
    const { tasks, guard, clock, kept } = await failedOnce();
    guard.losesReplies = true;
    const lost = expect(tasks.run(attemptOf(), KEY, () => fails('called'), { signal })).rejects.toThrow(
      RetryLaterError,
    );
    await clock.advance(WITHIN_MS);
    await lost;
    guard.losesReplies = false;
    // The old token has no effect by then, and a renewal says so.
    await clock.advance(TTL_MS / 3);
    expect(await tasks.run(attemptOf(), KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 2 });
    expect([clock.waiting, kept()]).toEqual([0, []]);
  });

  it('G2 whose greater token never arrived is failed when its run ends', async () => {
    const { tasks, guard, clock } = await failedOnce();
    guard.losesReplies = true;
    const lost = expect(tasks.run(attemptOf(), KEY, () => fails('called'), { signal })).rejects.toThrow(
      RetryLaterError,
    );
    await clock.advance(WITHIN_MS);
    await lost;
    guard.losesReplies = false;
    await tasks.holdings.beforeEnd('r', { status: 'failed' }, false);
    tasks.grants.giveUpUnclear('r');
    await settled();
    expect([await guard.stateOf(KEY), clock.waiting]).toEqual(['failed', 0]);
  });

  it('is not given to an attempt that is over by then', async () => {
    const { tasks, guard, clock } = await failedOnce();
    guard.slowMs = 100;
    const run = attemptOf();
    const told = expect(tasks.run(run, KEY, () => fails('called'), { signal })).rejects.toThrow('is over');
    await settled();
    run.end();
    await clock.advance(100);
    await told;
    // It stays held for the attempt after that, with its current token.
    expect(tasks.holdings.keptBy('r')).toEqual([{ key: KEY, token: 2, failures: 1 }]);
    tasks.close();
  });
});

describe('the end of a run', () => {
  it('G2 reports failures first, and resolves when they were answered', async () => {
    const { tasks, guard, clock } = guardedWorker();
    await expect(tasks.run(attemptOf(), KEY, () => fails('broken'), { signal })).rejects.toThrow('broken');
    guard.slowMs = 300;
    let isTold = false;
    void tasks.holdings.beforeEnd('r', { status: 'failed' }, false).then(() => (isTold = true));
    await clock.advance(299);
    expect(isTold).toBe(false);
    await clock.advance(1);
    await settled();
    expect(isTold).toBe(true);
    const error = { name: 'Error', message: 'broken' };
    expect(await guard.guard.get(KEY)).toMatchObject({ state: 'failed', error });
    tasks.holdings.afterEnd('r', { status: 'failed' });
    expect(guard.of('release')).toHaveLength(1);
  });

  it('G2 resolves within its bound when no guard answers, and reports later', async () => {
    const { tasks, guard, clock } = guardedWorker();
    await expect(tasks.run(attemptOf(), KEY, () => fails(), { signal })).rejects.toThrow('no');
    guard.isAway = true;
    let isTold = false;
    void tasks.holdings.beforeEnd('r', { status: 'failed' }, false).then(() => (isTold = true));
    await clock.advance(WITHIN_MS);
    await settled();
    expect(isTold).toBe(true);
    await clock.advance(3 * TTL_MS);
    guard.isAway = false;
    await clock.advance(WITHIN_MS + 1_000);
    expect([await guard.stateOf(KEY), clock.waiting]).toEqual(['failed', 0]);
  });

  it('waits for five seconds at most, however long turns may wait for the guard', async () => {
    const { tasks, elsewhere, guard, clock } = guardedWorker({ answerWithinMs: 60_000 });
    await expect(tasks.run(attemptOf(), KEY, () => fails(), { signal })).rejects.toThrow('no');
    guard.isAway = true;
    const told: string[] = [];
    void tasks.holdings.beforeEnd('r', { status: 'failed' }, false).then(() => told.push('here'));
    void elsewhere.fail('x', 'main/s::other', undefined).then(() => told.push('elsewhere'));
    await clock.advance(4_999);
    expect(told).toEqual([]);
    await clock.advance(1);
    await settled();
    expect(told.toSorted()).toEqual(['elsewhere', 'here']);
    tasks.close();
    elsewhere.close();
  });

  it('details of a failure that the guard refuses are left out, so that the task is not held for ever', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const nameless = Object.assign(new Error('x'), { name: '' });
    await expect(tasks.run(attemptOf(), KEY, () => Promise.reject(nameless), { signal })).rejects.toBe(nameless);
    await tasks.holdings.beforeEnd('r', { status: 'failed' }, false);
    await settled();
    expect([await guard.stateOf(KEY), clock.waiting]).toEqual(['failed', 0]);
  });

  it('a message right after it waits for the release, and does not see a holder that is gone', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const taken = await tasks.grants.take(attemptOf(), KEY, {}, true);
    expect(taken.kind).toBe('held');
    guard.slowMs = 50;
    tasks.holdings.afterEnd('r', { status: 'succeeded' });
    const next = tasks.run(attemptOf('next'), KEY, () => 1, { signal });
    await clock.advance(200);
    expect(await next).toEqual({ kind: 'ran', result: 1 });
    expect(guard.asked.map(({ operation }) => operation)).toEqual(['acquire', 'release', 'acquire', 'release']);
  });

  it('close() sends nothing any more, also for work that stops later', async () => {
    const { tasks, guard } = guardedWorker();
    const end = gate();
    void tasks.run(attemptOf(), KEY, () => end.promise, { signal });
    await settled();
    tasks.holdings.interrupt('r', undefined);
    tasks.close();
    end.resolve();
    await settled();
    expect(guard.of('release')).toEqual([]);
  });

  it('close() leaves no timers, whatever is held, requested or being reported', async () => {
    const { tasks, guard, clock } = guardedWorker();
    void tasks.run(attemptOf(), 'working', () => gate().promise, { signal });
    await expect(tasks.run(attemptOf(), 'failed', () => fails(), { signal })).rejects.toThrow();
    void tasks.run(attemptOf('cut'), 'cut', () => gate().promise, { signal });
    await tasks.grants.take(attemptOf('told'), 'told', {});
    await settled();
    tasks.holdings.interrupt('cut', undefined);
    guard.isAway = true;
    tasks.holdings.afterEnd('told', { status: 'cancelled' });
    await clock.advance(WITHIN_MS + 10);
    guard.isAway = false;
    guard.slowMs = 100;
    const late = expect(tasks.run(attemptOf(), 'late', () => fails('called'), { signal })).rejects.toThrow('is over');
    await settled();
    tasks.close();
    // The pause before the repeated release, and the answers that are on their way.
    await clock.advance(WITHIN_MS + 1_000);
    await late;
    expect([clock.waiting, tasks.holdings.heldBy('r')]).toEqual([0, []]);
  });
});

it('G2 a failed attempt counts, although the next one was granted without an answer and the first holding is lost', async () => {
  const { tasks, guard, clock } = guardedWorker({ maxAttempts: 2 });
  const attempt = () => tasks.run(attemptOf(), KEY, () => fails(), { signal });
  await expect(attempt()).rejects.toThrow('no');
  guard.losesReplies = true;
  const unclear = expect(attempt()).rejects.toThrow(RetryLaterError);
  await clock.advance(WITHIN_MS);
  await unclear;
  guard.losesReplies = false;
  // It is renewed, and is not the current holding.
  await clock.advance(TTL_MS / 2);
  await expect(attempt()).rejects.toThrow('no');
  expect(await guard.stateOf(KEY)).toBe('failed');
  tasks.close();
});
