import { describe, expect, it } from 'vitest';
import { RetryLaterError, TASK_LIMITS } from '#contracts';
import { TaskLostError } from '#guards';
import { settled } from '#testing';
import { attemptOf, gate, guardedWorker, TTL_MS, WITHIN_MS, type GuardDouble } from './guard.fixture.js';

const { signal } = new AbortController();
const KEY = 'main/s::import';
const fails = (message = 'no') => Promise.reject(new Error(message));
const statuses = (guard: GuardDouble) => guard.of('release').map(({ status }) => status);

describe('a task of a turn', () => {
  it('runs under a token, and is free at once with what it came to', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const run = attemptOf();
    const told = await tasks.run(run, KEY, ({ key, token }) => ({ key, token }), { signal, meta: { why: 1 } });
    expect(told).toEqual({ kind: 'ran', result: { key: KEY, token: 1 } });
    expect(guard.of('acquire')).toEqual([
      { requestId: 'w-1', runId: 'r', owner: 'main/s', ttlMs: TTL_MS, stale: 'heal', meta: { why: 1 } },
    ]);
    expect(await guard.guard.get(KEY)).toMatchObject({ state: 'succeeded', result: { key: KEY, token: 1 } });
    expect([tasks.holdings.holdsAny('r'), clock.waiting]).toEqual([false, 0]);
  });

  it('a later attempt of its run gets what it came to, and does not do it twice', async () => {
    const { tasks } = guardedWorker();
    await tasks.run(attemptOf(), KEY, () => [1], { signal });
    await tasks.run(attemptOf(), 'main/s::nothing', () => {}, { signal });
    const again = () => fails('called twice');
    expect(await tasks.run(attemptOf(), KEY, again, { signal })).toEqual({ kind: 'done', runId: 'r', result: [1] });
    expect(await tasks.run(attemptOf(), 'main/s::nothing', again, { signal })).toEqual({ kind: 'done', runId: 'r' });
    // Another run does it anew.
    expect(await tasks.run(attemptOf('r2'), KEY, () => 2, { signal })).toEqual({ kind: 'ran', result: 2 });
  });

  it.each<[string, unknown, boolean]>([
    ['what is too large', 'x'.repeat(TASK_LIMITS.resultBytes), false],
    ['a bigint', 1n, false],
    ['a function', () => {}, false],
    ['what JSON drops a part of', { a: 1, b: undefined }, true],
  ])('its caller gets %s, which is not kept as it is', async (_title, value, isKept) => {
    const { tasks, guard } = guardedWorker();
    expect(await tasks.run(attemptOf(), KEY, () => value, { signal })).toEqual({ kind: 'ran', result: value });
    expect(guard.of('release')).toEqual([
      { token: 1, status: 'succeeded', ...(isKept ? { result: JSON.parse(JSON.stringify(value)) } : {}) },
    ]);
  });

  it('G1 of two at once in one turn one runs, and the other hears of it, also when it was asked for in the same moment', async () => {
    const { tasks, guard, clock } = guardedWorker();
    guard.slowMs = 10;
    const [run, end] = [attemptOf(), gate<string>()];
    const first = tasks.run(run, KEY, () => end.promise, { signal });
    const second = tasks.run(run, KEY, () => fails(), { signal });
    await clock.advance(10);
    const expiresAt = 1_000 + TTL_MS;
    const busy = { kind: 'already_running', runId: 'r', owner: 'main/s', startedAt: 1_010, expiresAt, own: true };
    expect(await second).toEqual(busy);
    end.resolve('done');
    await clock.advance(10);
    expect(await first).toEqual({ kind: 'ran', result: 'done' });
    expect(guard.of('acquire')).toHaveLength(1);
  });

  it('hears who else has it, and that it waits for an approval', async () => {
    const { tasks, guard } = guardedWorker();
    const { kind } = await guard.acquire(KEY, { requestId: 'x', runId: 'other', ttlMs: 5_000 });
    expect(kind).toBe('acquired');
    const other = { kind: 'already_running', runId: 'other', own: false };
    expect(await tasks.run(attemptOf(), KEY, () => fails(), { signal })).toMatchObject(other);
    await guard.release(KEY, { token: 1, status: 'failed' });
    const waits = { kind: 'approval_required', failedRunId: 'other', attempts: 1 };
    expect(await tasks.run(attemptOf(), KEY, () => fails(), { signal })).toMatchObject(waits);
    expect(tasks.holdings.holdsAny('r')).toBe(false);
  });

  it('goes on over the attempts of its turn under one holding: one acquire, one token', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const tokens: unknown[] = [];
    for (const attempt of [1, 2, 3]) {
      const run = attemptOf();
      const told = tasks.run(run, KEY, ({ token }) => (tokens.push(token), attempt < 3 ? fails() : 'ok'), { signal });
      await (attempt < 3 ? expect(told).rejects.toThrow('no') : expect(told).resolves.toMatchObject({ result: 'ok' }));
      if (attempt < 3) expect(tasks.holdings.keptBy('r')).toEqual([{ key: KEY, token: 1 }]);
      run.end();
      // Backoffs that are longer than its time: it is renewed.
      await clock.advance(3 * TTL_MS);
    }
    expect(tokens).toEqual([1, 1, 1]);
    expect([guard.of('acquire').length, statuses(guard)]).toEqual([1, ['succeeded']]);
  });

  it('G4 stops when somebody else may have it, and what it came to then counts for nothing', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const end = gate();
    let isStopped = false;
    const told = tasks.run(
      attemptOf(),
      KEY,
      (held) => (held.signal.addEventListener('abort', () => (isStopped = true)), end.promise),
      { signal },
    );
    const lost = expect(told).rejects.toThrow(TaskLostError);
    await settled();
    await guard.end(KEY, { by: 'operator' });
    await clock.advance(TTL_MS / 3);
    expect(isStopped).toBe(true);
    expect(tasks.holdings.heldBy('r')).toEqual([]);
    end.resolve();
    await lost;
    expect([statuses(guard), tasks.holdings.holdsAny('r'), clock.waiting]).toEqual([[], false, 0]);
  });

  it('is lost when the guard says so to its release', async () => {
    const { tasks, guard } = guardedWorker();
    const told = tasks.run(attemptOf(), KEY, () => guard.end(KEY, { by: 'operator' }), { signal });
    await expect(told).rejects.toThrow(TaskLostError);
  });

  it('stops with its turn, and with its attempt', async () => {
    const { tasks } = guardedWorker();
    const [run, turn] = [attemptOf(), new AbortController()];
    const seen: AbortSignal[] = [];
    for (const key of [KEY, 'other']) {
      const by = key === KEY ? turn.signal : signal;
      void tasks.run(run, key, (held) => (seen.push(held.signal), gate().promise), { signal: by });
    }
    await settled();
    expect(seen.map(({ aborted }) => aborted)).toEqual([false, false]);
    turn.abort();
    expect(seen.map(({ aborted }) => aborted)).toEqual([true, false]);
    run.end();
    expect(seen.map(({ aborted }) => aborted)).toEqual([true, true]);
    tasks.close();
  });

  it('G1 waits while a former attempt of its turn is still at work here, and no other worker gets it', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const [first, end] = [attemptOf(), gate<number>()];
    const told = tasks.run(first, KEY, () => end.promise, { signal });
    await settled();
    first.end();
    expect(tasks.holdings.keptBy('r')).toEqual([]);
    const second = tasks.run(attemptOf(), KEY, () => fails(), { signal });
    await expect(second).rejects.toMatchObject({ code: 'retry_later', retryAfterMs: 1_000 });
    await clock.advance(2 * TTL_MS);
    expect(await guard.stateOf(KEY)).toBe('running');
    end.resolve(7);
    await told;
    expect(await tasks.run(attemptOf(), KEY, () => fails(), { signal })).toMatchObject({ kind: 'done', result: 7 });
  });
});

describe('without a guard to ask', () => {
  it('a turn is put off', async () => {
    const { tasks, guard, clock } = guardedWorker();
    guard.isAway = true;
    const told = expect(tasks.run(attemptOf(), KEY, () => fails(), { signal })).rejects.toThrow(RetryLaterError);
    await clock.advance(WITHIN_MS);
    await told;
  });

  it.each([
    ['by the setting', { whenUnavailable: 'open' as const }, {}],
    ['by its own choice', {}, { whenUnavailable: 'open' as const }],
  ])('it goes on unguarded %s', async (_title, setting, choice) => {
    const { tasks, guard, clock } = guardedWorker(setting);
    guard.isAway = true;
    const told = tasks.run(attemptOf(), KEY, ({ token }) => ({ token }), { signal, ...choice });
    await clock.advance(WITHIN_MS);
    expect(await told).toEqual({ kind: 'ran', result: { token: undefined } });
  });

  it('a refused request is a failure, not the absence of a guard', async () => {
    const { tasks } = guardedWorker({ whenUnavailable: 'open' });
    const told = tasks.run(attemptOf(), KEY, () => 1, { signal, ttlMs: 1 });
    await expect(told).rejects.toMatchObject({ code: 'guard_refused' });
  });

  it('one that may have been granted is asked for again as the same request: it is not waited for', async () => {
    const { tasks, guard, clock } = guardedWorker();
    guard.losesReplies = true;
    const lost = expect(tasks.run(attemptOf(), KEY, () => fails(), { signal })).rejects.toThrow(RetryLaterError);
    await clock.advance(WITHIN_MS);
    await lost;
    guard.losesReplies = false;
    expect(await tasks.run(attemptOf(), KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 1 });
    expect(new Set(guard.of('acquire').map(({ requestId }) => requestId)).size).toBe(1);
    // Granted long before it was heard of: from here on it lasts its whole time.
    expect(guard.of('renew')).toEqual([{ token: 1 }]);
  });

  it('one that may have been granted and is over by then is got anew, under another token', async () => {
    const { tasks, guard, clock } = guardedWorker();
    guard.losesReplies = true;
    const lost = expect(tasks.run(attemptOf(), KEY, () => fails(), { signal })).rejects.toThrow(RetryLaterError);
    await clock.advance(WITHIN_MS);
    await lost;
    guard.losesReplies = false;
    await clock.advance(TTL_MS);
    expect(await tasks.run(attemptOf(), KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 2 });
  });

  it('one that may have been granted to a run that has ended is given up; of one that runs elsewhere it is left alone', async () => {
    const { tasks, guard, clock } = guardedWorker();
    guard.losesReplies = true;
    const lost = ['ended', 'elsewhere'].map((runId) =>
      expect(tasks.run(attemptOf(runId), runId, () => fails(), { signal })).rejects.toThrow(RetryLaterError),
    );
    await clock.advance(WITHIN_MS);
    await Promise.all(lost);
    guard.losesReplies = false;
    tasks.giveUpUnclear('ended');
    tasks.forgetUnclear('elsewhere');
    await clock.advance(0);
    expect(await guard.stateOf('ended')).toBe('cancelled');
    expect(await guard.stateOf('elsewhere')).toBe('running');
  });

  it('what it came to is told later, and is held on to until then', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const told = tasks.run(attemptOf(), KEY, () => ((guard.isAway = true), 5), { signal });
    await clock.advance(WITHIN_MS);
    expect(await told).toEqual({ kind: 'ran', result: 5 });
    await clock.advance(5_000);
    expect(await guard.stateOf(KEY)).toBe('running');
    guard.isAway = false;
    await clock.advance(5_000);
    expect(await guard.guard.get(KEY)).toMatchObject({ state: 'succeeded', result: 5 });
    expect(clock.waiting).toBe(0);
  });
});

describe('an answer that comes too late', () => {
  it('G3 is given back when its attempt is over: nobody would ever release it', async () => {
    const { tasks, guard, clock } = guardedWorker();
    guard.slowMs = 500;
    const run = attemptOf();
    const told = expect(tasks.run(run, KEY, () => fails('called'), { signal })).rejects.toThrow('is over');
    await clock.advance(100);
    run.end();
    await clock.advance(1_000);
    await told;
    expect([await guard.stateOf(KEY), statuses(guard)]).toEqual(['cancelled', ['interrupted']]);
    expect([tasks.holdings.holdsAny('r'), clock.waiting]).toEqual([false, 0]);
  });

  it('calls nothing unguarded when its attempt is over', async () => {
    const { tasks, guard, clock } = guardedWorker({ whenUnavailable: 'open' });
    guard.isAway = true;
    const run = attemptOf();
    const told = expect(tasks.run(run, KEY, () => fails('called'), { signal })).rejects.toThrow('is over');
    await clock.advance(100);
    run.end();
    await clock.advance(WITHIN_MS);
    await told;
  });
});

describe('what a former attempt held', () => {
  it('and gave back while nobody heard is not waited for until its time is over: it is told soon', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const first = tasks.run(attemptOf(), KEY, () => void (guard.isAway = true), { signal });
    await settled();
    await clock.advance(WITHIN_MS);
    expect(await first).toEqual({ kind: 'ran', result: undefined });
    guard.isAway = false;
    const again = () => tasks.run(attemptOf(), KEY, () => fails('called twice'), { signal });
    await expect(again()).rejects.toMatchObject({ code: 'retry_later', retryAfterMs: 1_000 });
    // The try that is under way, and the pause after it.
    await clock.advance(WITHIN_MS + 1_000);
    expect(await again()).toEqual({ kind: 'done', runId: 'r' });
  });

  const former = async (guard: GuardDouble, runId = 'r') => {
    const answer = await guard.acquire(KEY, { requestId: 'former', runId, ttlMs: 5_000 });
    if (answer.kind !== 'acquired') throw new Error(answer.kind);
    return [{ key: KEY, token: answer.token }];
  };

  it('goes on under its token when it still stands', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const run = attemptOf();
    await tasks.adopt(run, await former(guard));
    expect(tasks.holdings.keptBy('r')).toEqual([{ key: KEY, token: 1 }]);
    // For the time that is known here, whatever the clock of the guard shows.
    expect(guard.of('renew')).toEqual([{ token: 1, ttlMs: TTL_MS }]);
    await clock.advance(2 * TTL_MS);
    expect(await tasks.run(run, KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 1 });
    expect(guard.of('acquire')).toHaveLength(1);
  });

  it('is ignored when it does not', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const held = await former(guard);
    await guard.release(KEY, { token: 1, status: 'cancelled' });
    const run = attemptOf();
    await tasks.adopt(run, held);
    expect([tasks.holdings.holdsAny('r'), clock.waiting]).toEqual([false, 0]);
    expect(await tasks.run(run, KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 3 });
  });

  it('G2 is not forgotten while nobody can be asked about it', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const held = await former(guard);
    guard.isAway = true;
    const told = expect(tasks.adopt(attemptOf(), held)).rejects.toThrow(RetryLaterError);
    await clock.advance(WITHIN_MS);
    await told;
    expect(tasks.holdings.keptBy('r')).toEqual(held);
    guard.isAway = false;
    const run = attemptOf();
    await tasks.adopt(run, held);
    expect(await tasks.run(run, KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 1 });
    expect(clock.waiting).toBe(0);
  });

  it('that was let go while it was asked about stays so', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const held = await former(guard);
    guard.slowMs = 100;
    const told = tasks.adopt(attemptOf(), held);
    tasks.holdings.letGo('r');
    await clock.advance(100);
    await told;
    expect([tasks.holdings.holdsAny('r'), clock.waiting]).toEqual([false, 0]);
  });
});

describe('the end of a run', () => {
  it('G2 tells what failed first, and resolves when that was answered', async () => {
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

  it('G2 without a guard it resolves within its bound, and is told later', async () => {
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

  it('what the guard does not take of a failure is left out, rather than held for ever', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const nameless = Object.assign(new Error('x'), { name: '' });
    await expect(tasks.run(attemptOf(), KEY, () => Promise.reject(nameless), { signal })).rejects.toBe(nameless);
    await tasks.holdings.beforeEnd('r', { status: 'failed' }, false);
    await settled();
    expect([await guard.stateOf(KEY), clock.waiting]).toEqual(['failed', 0]);
  });

  it('a trigger right after it waits for the release, rather than hear of a holder that is none', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const taken = await tasks.take(attemptOf(), KEY, {}, true);
    expect(taken.kind).toBe('held');
    guard.slowMs = 50;
    tasks.holdings.afterEnd('r', { status: 'succeeded' });
    const next = tasks.run(attemptOf('next'), KEY, () => 1, { signal });
    await clock.advance(200);
    expect(await next).toEqual({ kind: 'ran', result: 1 });
    expect(guard.asked.map(({ operation }) => operation)).toEqual(['acquire', 'release', 'acquire', 'release']);
  });

  it('close() leaves no timers, whatever is held, asked for or told', async () => {
    const { tasks, guard, clock } = guardedWorker();
    void tasks.run(attemptOf(), 'working', () => gate().promise, { signal });
    await expect(tasks.run(attemptOf(), 'failed', () => fails(), { signal })).rejects.toThrow();
    void tasks.run(attemptOf('cut'), 'cut', () => gate().promise, { signal });
    await tasks.take(attemptOf('told'), 'told', {});
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
    // The pause of what is told again, and the answers that are on their way.
    await clock.advance(WITHIN_MS + 1_000);
    await late;
    expect([clock.waiting, tasks.holdings.heldBy('r')]).toEqual([0, []]);
  });
});
