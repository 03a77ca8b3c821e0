import { describe, expect, it } from 'vitest';
import { jsonText, RetryLaterError } from '#contracts';
import { settled } from '#testing';
import { attemptOf, gate, guardedWorker, TTL_MS, WITHIN_MS, type GuardDouble } from './guard.fixture.js';

const { signal } = new AbortController();
const KEY = 'main/s::import';
const fails = (message = 'no') => Promise.reject(new Error(message));
const statuses = (guard: GuardDouble) => guard.of('release').map(({ status }) => status);

/** A worker whose request was granted, and whose answer was lost. */
async function grantedUnheard() {
  const all = guardedWorker();
  const { tasks, guard, clock } = all;
  guard.losesReplies = true;
  const lost = expect(tasks.run(attemptOf(), KEY, () => fails(), { signal })).rejects.toThrow(RetryLaterError);
  await clock.advance(WITHIN_MS);
  await lost;
  guard.losesReplies = false;
  return all;
}

describe('when no guard answers', () => {
  it('a turn is delayed', async () => {
    const { tasks, guard, clock } = guardedWorker();
    guard.isAway = true;
    const told = expect(tasks.run(attemptOf(), KEY, () => fails(), { signal })).rejects.toThrow(RetryLaterError);
    await clock.advance(WITHIN_MS);
    await told;
  });

  it.each([
    ['by the setting', { whenUnavailable: 'open' as const }, {}],
    ['by its own choice', {}, { whenUnavailable: 'open' as const }],
  ])('it continues unguarded %s', async (_title, setting, choice) => {
    const { tasks, guard, clock } = guardedWorker(setting);
    guard.isAway = true;
    const told = tasks.run(attemptOf(), KEY, (held) => held, { signal, ...choice });
    await clock.advance(WITHIN_MS);
    expect(await told).toEqual({ kind: 'ran', result: { key: KEY, signal } });
  });

  it.each([
    ['by the setting', { whenUnavailable: 'open' as const }, {}, false],
    ['by its own choice', {}, { whenUnavailable: 'open' as const }, false],
    ['not by its own choice', { whenUnavailable: 'open' as const }, { whenUnavailable: 'closed' as const }, true],
  ])('a held task continues when no guard renews it, %s', async (_title, setting, choice, isStopped) => {
    const { tasks, guard, clock } = guardedWorker(setting);
    const seen: AbortSignal[] = [];
    void tasks.run(attemptOf(), KEY, (held) => (seen.push(held.signal), gate().promise), { signal, ...choice });
    await settled();
    guard.isAway = true;
    await clock.advance(2 * TTL_MS);
    expect(seen.map(({ aborted }) => aborted)).toEqual([isStopped]);
    tasks.close();
  });

  it('a refused request is a failure, not the absence of a guard', async () => {
    const { tasks } = guardedWorker({ whenUnavailable: 'open' });
    const told = tasks.run(attemptOf(), KEY, () => 1, { signal, ttlMs: 1 });
    await expect(told).rejects.toMatchObject({ code: 'guard_refused' });
  });

  it('a task that may have been granted is requested again with the same request id, without a wait', async () => {
    const { tasks, guard } = await grantedUnheard();
    expect(await tasks.run(attemptOf(), KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 1 });
    expect(new Set(guard.of('acquire').map(({ requestId }) => requestId)).size).toBe(1);
    // Granted long before the answer arrived: from now on it lasts its whole ttlMs.
    expect(guard.of('renew')).toEqual([{ token: 1 }]);
  });

  it('a task that may have been granted and has ended by then is acquired again, with another token', async () => {
    const { tasks, clock } = await grantedUnheard();
    await clock.advance(TTL_MS);
    expect(await tasks.run(attemptOf(), KEY, ({ token }) => token, { signal })).toEqual({ kind: 'ran', result: 2 });
  });

  it('a task that may have been granted to an ended run is given up; that of a run that continues elsewhere is left alone', async () => {
    const { tasks, guard, clock } = guardedWorker();
    guard.losesReplies = true;
    const lost = ['ended', 'elsewhere'].map((runId) =>
      expect(tasks.run(attemptOf(runId), runId, () => fails(), { signal })).rejects.toThrow(RetryLaterError),
    );
    await clock.advance(WITHIN_MS);
    await Promise.all(lost);
    guard.losesReplies = false;
    tasks.grants.giveUpUnclear('ended');
    tasks.grants.forgetUnclear('elsewhere');
    await clock.advance(0);
    expect(await guard.stateOf('ended')).toBe('cancelled');
    expect(await guard.stateOf('elsewhere')).toBe('running');
  });

  it('the result is reported later, and the task stays held until then', async () => {
    const { tasks, guard, clock, kept } = guardedWorker();
    const told = tasks.run(attemptOf(), KEY, () => ((guard.isAway = true), 5), { signal });
    await clock.advance(WITHIN_MS);
    expect(await told).toEqual({ kind: 'ran', result: 5 });
    await clock.advance(5_000);
    expect(await guard.stateOf(KEY)).toBe('running');
    expect([KEY, 'another'].map((key) => tasks.holdings.isStopping('r', key))).toEqual([true, false]);
    guard.isAway = false;
    await clock.advance(5_000);
    expect(await guard.guard.get(KEY)).toMatchObject({ state: 'succeeded', result: jsonText(5) });
    expect([clock.waiting, kept()]).toEqual([0, []]);
  });
});

describe('an answer that comes too late', () => {
  it('G3 gives the task back when its attempt is over: no attempt would ever release it', async () => {
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

  it('starts no request for callers that waited for it in an attempt that is over', async () => {
    const { tasks, guard, clock, kept } = guardedWorker();
    guard.slowMs = 100;
    const run = attemptOf();
    const two = [1, 2].map(() => expect(tasks.run(run, KEY, () => fails(), { signal })).rejects.toThrow('is over'));
    await clock.advance(50);
    run.end();
    await clock.advance(500);
    await Promise.all(two);
    expect([guard.of('acquire').length, kept()]).toEqual([1, []]);
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
