import { describe, expect, it } from 'vitest';
import type { ReleaseAnswer, RenewAnswer } from '#contracts';
import { settled } from '#testing';
import { GuardRefusedError } from './guard.client.js';
import { AWAY, RELEASED, setUp, THIRD_MS, TTL_MS, type Answer } from './task-holding.fixture.js';

describe('a release', () => {
  it('reports how it ended, returns what the guard answers, and leaves no timer', async () => {
    const { clock, client, holding } = setUp();
    const error = { name: 'Oops', message: 'no' };
    expect(await holding.release({ status: 'failed', error })).toEqual(RELEASED);
    expect(client.releases).toEqual([{ key: 'k', request: { token: 7, status: 'failed', error } }]);
    expect(clock.waiting).toBe(0);
    await clock.advance(10 * TTL_MS);
    expect([client.renewals.length, holding.lost.aborted]).toEqual([0, false]);
  });

  it('waits as long as its caller says, and may be repeated', async () => {
    const { client, holding } = setUp();
    client.releasing = () => AWAY;
    await expect(holding.release({ status: 'succeeded' }, 300)).rejects.toThrow('no answer');
    expect(client.releases).toMatchObject([{ within: 300 }]);
    client.releasing = () => RELEASED;
    expect(await holding.release({ status: 'succeeded' })).toEqual(RELEASED);
  });

  it('is also sent for a holding that was lost: perhaps no other run has acquired the task', async () => {
    const { clock, client, holding } = setUp();
    clock.standStill(TTL_MS);
    await clock.advance(0);
    await holding.release({ status: 'failed' });
    expect(client.releases).toHaveLength(1);
  });

  it('that its own renewal races with is not a loss', async () => {
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

  it('at last is repeated until there is an answer; meanwhile the holding is renewed (G2)', async () => {
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

  it('at last also ends when the answer says that another run has the task', async () => {
    const { client, holding } = setUp();
    client.releasing = () => ({ kind: 'not_held', state: 'running', runId: 'r2' });
    await holding.releaseAtLast({ status: 'failed' });
    expect(client.releases).toHaveLength(1);
  });

  it('at last is given up when the guard will never accept it', async () => {
    const { clock, client, holding, warned } = setUp();
    client.releasing = () => new GuardRefusedError('no such field');
    await holding.releaseAtLast({ status: 'failed' });
    expect([client.releases.length, clock.waiting, warned]).toEqual([1, 0, ['a task cannot be released']]);
  });

  it('at last ends when the holding is let go, at once and without a timer', async () => {
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

  it('at last ends when the holding is let go while the guard is asked', async () => {
    const { clock, client, holding } = setUp();
    client.releasing = () => (holding.letGo(), AWAY);
    await holding.releaseAtLast({ status: 'failed' });
    expect([client.releases.length, clock.waiting]).toEqual([1, 0]);
  });
});

describe('a holding that is let go', () => {
  it('leaves no timer and reports nothing', async () => {
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
  ])('ignores an answer that comes afterwards: %s', async (_title, late) => {
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
