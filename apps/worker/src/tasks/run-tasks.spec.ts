import { describe, expect, it } from 'vitest';
import { jsonText, LanekeeperError, RetryLaterError, TASK_LIMITS } from '#contracts';
import { TaskLostError } from '#guards';
import { silentLogger } from '#telemetry';
import { settled } from '#testing';
import { attemptOf, gate, guardedWorker, TTL_MS, type GuardDouble } from './guard.fixture.js';

const { signal } = new AbortController();
const KEY = 'main/s::import';
const fails = (message = 'no') => Promise.reject(new Error(message));
const statuses = (guard: GuardDouble) => guard.of('release').map(({ status }) => status);

describe('a task of a turn', () => {
  it('runs with a token, and is freed at once with its result', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const run = attemptOf();
    const told = await tasks.run(run, KEY, ({ key, token }) => ({ key, token }), { signal, meta: { why: 1 } });
    expect(told).toEqual({ kind: 'ran', result: { key: KEY, token: 1 } });
    expect(guard.of('acquire')).toEqual([
      { requestId: 'w-1', runId: 'r', owner: 'main/s', ttlMs: TTL_MS, stale: 'heal', meta: jsonText({ why: 1 }) },
    ]);
    expect(await guard.guard.get(KEY)).toMatchObject({ state: 'succeeded', result: jsonText({ key: KEY, token: 1 }) });
    expect([tasks.holdings.holdsAny('r'), clock.waiting]).toEqual([false, 0]);
  });

  it('a later attempt of its run gets the result, and does not do it twice', async () => {
    const { tasks } = guardedWorker();
    await tasks.run(attemptOf(), KEY, () => [1], { signal });
    await tasks.run(attemptOf(), 'main/s::nothing', () => {}, { signal });
    const again = () => fails('called twice');
    expect(await tasks.run(attemptOf(), KEY, again, { signal })).toEqual({ kind: 'done', runId: 'r', result: [1] });
    expect(await tasks.run(attemptOf(), 'main/s::nothing', again, { signal })).toEqual({ kind: 'done', runId: 'r' });
    // Another run does it again.
    expect(await tasks.run(attemptOf('r2'), KEY, () => 2, { signal })).toEqual({ kind: 'ran', result: 2 });
  });

  it.each<[string, unknown, boolean]>([
    ['what is too large', 'x'.repeat(TASK_LIMITS.resultBytes), false],
    ['a symbol', Symbol('x'), false],
    ['a function', () => {}, false],
    ['what JSON drops a part of', { a: 1, b: undefined }, true],
  ])('its caller gets %s, which is not kept unchanged', async (_title, value, isKept) => {
    const warned: unknown[] = [];
    const log = { ...silentLogger, warn: (fields: object) => void warned.push(fields) };
    const { tasks, guard } = guardedWorker({ log });
    expect(await tasks.run(attemptOf(), KEY, () => value, { signal })).toEqual({ kind: 'ran', result: value });
    expect(warned).toEqual(typeof value === 'string' ? [{ key: KEY }] : []);
    expect(guard.of('release')).toEqual([
      { token: 1, status: 'succeeded', ...(isKept ? { result: jsonText(value) } : {}) },
    ]);
  });

  it('G1 of two parallel calls in one turn one runs, and the other is told so, also when both ask at the same moment', async () => {
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

  it('learns which run has it, and that it waits for an approval', async () => {
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

  it('G4 continues over its attempts, each with its own, greater token', async () => {
    const { tasks, guard, clock } = guardedWorker();
    const tokens: unknown[] = [];
    for (const attempt of [1, 2, 3]) {
      const run = attemptOf();
      const told = tasks.run(run, KEY, ({ token }) => (tokens.push(token), attempt < 3 ? fails() : 'ok'), { signal });
      await (attempt < 3 ? expect(told).rejects.toThrow('no') : expect(told).resolves.toMatchObject({ result: 'ok' }));
      const kept = { key: KEY, token: tokens.at(-1), failures: attempt };
      if (attempt < 3) expect(tasks.holdings.keptBy('r')).toEqual([kept]);
      run.end();
      // Backoffs longer than its ttlMs: it is renewed.
      await clock.advance(3 * TTL_MS);
    }
    const asked = guard.of('acquire').map(({ formerToken }) => formerToken);
    expect(asked).toEqual([undefined, ...tokens.slice(0, 2)]);
    expect(new Set(tokens).size).toBe(3);
    expect(tokens).toEqual(tokens.toSorted((a, b) => Number(a) - Number(b)));
    expect([statuses(guard), clock.waiting]).toEqual([['succeeded'], 0]);
  });

  it('G2 that fails in its last attempt is failed before its caller hears of it, also for the same run', async () => {
    const { tasks, guard, clock, kept } = guardedWorker({ maxAttempts: 1 });
    const run = attemptOf();
    await expect(tasks.run(run, KEY, () => fails('broken'), { signal })).rejects.toThrow('broken');
    const error = { name: 'Error', message: 'broken' };
    expect(await guard.guard.get(KEY)).toMatchObject({ state: 'failed', status: 'failed', error });
    const again = await tasks.run(run, KEY, () => fails('called'), { signal });
    expect(again).toMatchObject({ kind: 'approval_required', failedRunId: 'r' });
    expect([clock.waiting, kept()]).toEqual([0, []]);
    // The approved one has a greater token than the failed one.
    await guard.guard.approve(KEY, { by: 'ann' });
    expect(await tasks.run(attemptOf(), KEY, ({ token }) => token, { signal })).toMatchObject({ result: 4 });
  });

  it('has as many attempts as its caller gives it, also within one attempt of the turn', async () => {
    const { tasks, guard } = guardedWorker({ maxAttempts: 1 });
    const run = attemptOf();
    const told = () => tasks.run(run, KEY, () => fails(), { signal, maxAttempts: 2 });
    for (const _attempt of [1, 2]) await expect(told()).rejects.toThrow('no');
    expect(await told()).toMatchObject({ kind: 'approval_required' });
    expect(guard.of('acquire').map(({ formerToken }) => formerToken)).toEqual([undefined, 1, undefined]);
    expect(guard.of('acquire')[0]).not.toHaveProperty('maxAttempts');
  });

  it('that asks to run later uses no attempt, and gets a greater token', async () => {
    const { tasks, guard } = guardedWorker({ maxAttempts: 1 });
    const later = () => Promise.reject(new RetryLaterError({ retryAfterMs: 5 }));
    for (const _attempt of [1, 2])
      await expect(tasks.run(attemptOf(), KEY, later, { signal })).rejects.toThrow(RetryLaterError);
    expect([await guard.stateOf(KEY), tasks.holdings.keptBy('r')]).toEqual(['running', [{ key: KEY, token: 2 }]]);
    tasks.close();
  });

  it.each([
    ['that is cut by the end of the time', new DOMException('over', 'TimeoutError'), undefined],
    [
      'that has no clear answer',
      undefined,
      new LanekeeperError('agent_no_answer', 'cut', { finding: { isUnclear: true } }),
    ],
  ])('G2 %s is timed out even with attempts left, and needs an approval', async (_what, reason, thrown) => {
    const { tasks, guard, kept } = guardedWorker({ maxAttempts: 3 });
    const controller = new AbortController();
    const stops = gate();
    const told = tasks.run(attemptOf(), KEY, () => stops.promise, { signal: controller.signal });
    const failed = expect(told).rejects.toThrow();
    await settled();
    if (reason !== undefined) controller.abort(reason);
    stops.reject(thrown ?? new Error('stopped'));
    await failed;
    expect(await guard.guard.get(KEY)).toMatchObject({ state: 'failed', status: 'timed_out' });
    const again = await tasks.run(attemptOf(), KEY, () => fails('called'), { signal });
    expect([again.kind, kept()]).toEqual(['approval_required', []]);
  });

  it('G4 stops when another run may hold it, and its result then does not count', async () => {
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

  it('G1 is awaited only when it is the one that stops here; another one ends after its ttlMs', async () => {
    const { tasks, guard } = guardedWorker();
    const [first, end] = [attemptOf(), gate()];
    void tasks.run(first, KEY, () => end.promise, { signal });
    await settled();
    first.end();
    tasks.holdings.interrupt('r', undefined);
    await guard.acquire('elsewhere', { requestId: 'x', runId: 'r', ttlMs: TTL_MS });
    const asked = (key: string) => tasks.run(attemptOf(), key, () => fails(), { signal });
    await expect(asked('elsewhere')).rejects.toMatchObject({ retryAfterMs: TTL_MS + 100 });
    await expect(asked(KEY)).rejects.toMatchObject({ retryAfterMs: 1_000 });
    end.resolve();
    await settled();
  });

  it('is lost when the guard answers its release so', async () => {
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

  it('G1 waits while an earlier attempt of its turn still works here, and no other worker gets it', async () => {
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
