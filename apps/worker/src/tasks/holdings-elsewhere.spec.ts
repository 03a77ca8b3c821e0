import { describe, expect, it } from 'vitest';
import { TASK_LIMITS } from '#contracts';
import { settled } from '#testing';
import { guardedWorker, TASK, TTL_MS, WITHIN_MS } from './guard.fixture.js';

const error = { name: 'worker_crashed', message: 'twice' };

/** A worker beside a dead worker, which held the task of its run. */
async function setUp() {
  const all = guardedWorker();
  await all.guard.acquire(TASK, { requestId: 'gone', runId: 'r', ttlMs: TTL_MS });
  return all;
}

describe('the task of a run whose worker is gone', () => {
  it('G2 is failed for good, by its run', async () => {
    const { elsewhere, guard, clock, kept } = await setUp();
    await elsewhere.fail('r', TASK, error);
    expect(guard.of('end')).toEqual([{ by: 'w', runId: 'r', status: 'failed', error }]);
    expect(await guard.guard.get(TASK)).toMatchObject({ state: 'failed', error });
    expect([clock.waiting, kept()]).toEqual([0, []]);
  });

  it('G2 is failed also when no guard answers at first and its ttlMs is over by then; its record waits within a bound', async () => {
    const { elsewhere, guard, clock, kept } = await setUp();
    guard.isAway = true;
    let isTold = false;
    void elsewhere.fail('r', TASK, error).then(() => (isTold = true));
    await clock.advance(WITHIN_MS - 1);
    expect(isTold).toBe(false);
    await clock.advance(1);
    await settled();
    expect(isTold).toBe(true);
    await clock.advance(TTL_MS);
    guard.isAway = false;
    await clock.advance(WITHIN_MS + 1_000);
    expect(await guard.guard.get(TASK)).toMatchObject({ state: 'failed', error });
    expect([clock.waiting, kept()]).toEqual([0, []]);
  });

  it('is left alone when another run holds it by then', async () => {
    const { elsewhere, guard, clock } = await setUp();
    guard.isAway = true;
    void elsewhere.fail('r', TASK, undefined);
    await clock.advance(TTL_MS);
    const another = { requestId: 'new', runId: 'another' };
    expect(await guard.guard.acquire(TASK, another)).toMatchObject({ kind: 'approval_required' });
    await guard.guard.approve(TASK, { by: 'ann' });
    await guard.guard.acquire(TASK, another);
    guard.isAway = false;
    await clock.advance(WITHIN_MS + 1_000);
    expect([await guard.stateOf(TASK), clock.waiting]).toEqual(['running', 0]);
  });

  it('is failed without its reason when the guard refuses the reason', async () => {
    const { elsewhere, guard } = await setUp();
    await elsewhere.fail('r', TASK, { name: 'x'.repeat(TASK_LIMITS.errorNameChars + 1), message: '' });
    expect(await guard.guard.get(TASK)).toMatchObject({ state: 'failed', error: { message: 'ended by w' } });
  });

  it('is given up when the guard will never accept it', async () => {
    const { elsewhere, guard, clock } = await setUp();
    await elsewhere.fail('r'.repeat(TASK_LIMITS.runIdChars + 1), TASK, error);
    expect([guard.of('end').length, await guard.stateOf(TASK), clock.waiting]).toEqual([2, 'running', 0]);
  });

  it('is not reported any more when the worker stops', async () => {
    const { elsewhere, guard, clock, kept } = await setUp();
    guard.isAway = true;
    void elsewhere.fail('r', TASK, error);
    await clock.advance(WITHIN_MS + 500);
    elsewhere.close();
    expect([clock.waiting, kept()]).toEqual([0, []]);
    void elsewhere.fail('r', TASK, error);
    await clock.advance(WITHIN_MS);
    expect([guard.of('end').length, clock.waiting]).toEqual([2, 0]);
  });
});

describe('the task of a run that was cancelled while it waited', () => {
  it('is freed, or ends after its ttlMs when no guard answers', async () => {
    const { elsewhere, guard, clock } = await setUp();
    elsewhere.release([{ key: TASK, token: 1 }]);
    await settled();
    expect(await guard.stateOf(TASK)).toBe('cancelled');
    guard.isAway = true;
    elsewhere.release([{ key: TASK, token: 1 }]);
    await clock.advance(TTL_MS);
    expect(clock.waiting).toBe(0);
  });
});
