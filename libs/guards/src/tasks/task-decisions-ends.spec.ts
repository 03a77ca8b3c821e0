import { describe, expect, it } from 'vitest';
import { jsonText, TASK_STATES } from '#contracts';
import { acquire, approve, asOf, end, release, renew } from './task-decisions.js';
import { APPROVAL_MS, entryIn, KEY, request, START, TOKEN, TTL_MS, written } from './tasks.fixture.js';

const NOW = START + 5_000;
const OVER = START + TTL_MS;

describe('a success', () => {
  const ended = release(entryIn('running'), { token: TOKEN, status: 'succeeded', result: jsonText(42) }, NOW).next;
  const done = { answer: { kind: 'done', runId: 'r1', endedAt: NOW, result: jsonText(42) } };

  it('is reported to the run that had it, at any time', () => {
    expect(acquire(KEY, ended, request('r1'), NOW + 1)).toEqual(done);
    expect(acquire(KEY, ended, request('r1', { requestId: 'x' }), NOW + 86_400_000)).toEqual(done);
  });

  it('is reported to other runs for as long as they ask for', () => {
    const asked = (now: number) => acquire(KEY, ended, request('r2', { doneForMs: 1_000 }), now);
    expect(asked(NOW + 999)).toEqual(done);
    expect(asked(NOW + 1_000).answer.kind).toBe('acquired');
    expect(acquire(KEY, ended, request('r2', { doneForMs: 0 }), NOW).answer.kind).toBe('acquired');
    expect(acquire(KEY, ended, request('r2'), NOW).answer.kind).toBe('acquired');
  });

  it('is not reported to other runs that do not ask for it, even by a guard whose clock is behind the writer’s (G1)', () => {
    expect(acquire(KEY, ended, request('r2', { doneForMs: 0 }), NOW - 300).answer.kind).toBe('acquired');
    expect(acquire(KEY, ended, request('r2'), NOW - 300).answer.kind).toBe('acquired');
  });

  it('resets the count of attempts; an interruption does not', () => {
    expect(acquire(KEY, ended, request('r2'), NOW).next).toMatchObject({ attempts: 1 });
    expect(acquire(KEY, entryIn('cancelled'), request('r2'), NOW).next).toMatchObject({ attempts: 2 });
  });
});

describe('a failure (G2)', () => {
  const error = { name: 'failed', message: 'its holder gave no reason' };
  const failedAt = START + 1_000;
  const required = { kind: 'approval_required', failedRunId: 'r1', failedAt, error, attempts: 1 };

  it('lets no run through, including the run that failed and its request', () => {
    for (const asked of [request('r1'), request('r1', { requestId: 'x' }), request('r2')]) {
      expect(acquire(KEY, entryIn('failed'), asked, NOW)).toEqual({ answer: required });
    }
  });

  it('is not given to another run that asks with the same requestId (G1)', () => {
    const { requestId } = request('r1');
    expect(entryIn('running')).toMatchObject({ requestId });
    const { answer } = acquire(KEY, entryIn('running'), request('r2', { requestId }), NOW);
    expect(answer).toMatchObject({ kind: 'already_running', runId: 'r1', own: false });
  });

  it('is approved only for the named run, when the approval names one', () => {
    const failed = entryIn('failed');
    const other = approve(failed, { by: 'ann', runId: 'another' }, NOW);
    expect(other).toEqual({ answer: { kind: 'not_waiting', state: 'failed', runId: failed.runId } });
    expect(approve(undefined, { by: 'ann', runId: 'another' }, NOW)).toEqual({
      answer: { kind: 'not_waiting', state: 'none' },
    });
    expect(approve(failed, { by: 'ann', runId: failed.runId }, NOW).next).toMatchObject({ state: 'approved' });
  });

  it('lets one run through after an approval, and needs another approval when that run fails', () => {
    const { answer, next } = approve(entryIn('failed'), { by: 'ann' }, NOW);
    expect(answer).toEqual({ kind: 'approved', by: 'ann', at: NOW });
    expect(approve(next, { by: 'bob' }, NOW + 1)).toEqual({ answer });
    const running = written(acquire(KEY, next, request('r2'), NOW + 2).next, 20);
    expect(running).toMatchObject({ state: 'running', attempts: 2 });
    expect(acquire(KEY, running, request('r3'), NOW + 3).answer.kind).toBe('already_running');
    const failed = release(running, { token: 20, status: 'failed' }, NOW + 4).next;
    expect(acquire(KEY, failed, request('r3'), NOW + 5).answer).toMatchObject({
      ...{ kind: 'approval_required', failedRunId: 'r2', attempts: 2 },
    });
    expect(failed?.history.map(({ what, by }) => [what, by].join(' ').trim())).toEqual([
      ...['acquired', 'released', 'approved ann', 'acquired', 'released'],
    ]);
  });

  it('can be approved until the time for that is over, and then only be ended', () => {
    const failed = release(entryIn('running', { approvalForMs: 1_000 }), { token: TOKEN, status: 'failed' }, NOW).next;
    expect(failed).toMatchObject({ approvableUntil: NOW + 1_000 });
    const { answer } = acquire(KEY, failed, request('r2'), NOW + 999);
    expect(answer).toEqual({ ...required, failedAt: NOW, approvableUntil: NOW + 1_000 });
    expect(approve(failed, { by: 'ann' }, NOW + 999).answer.kind).toBe('approved');
    const late = approve(failed, { by: 'ann' }, NOW + 1_000);
    expect(late).toEqual({ answer: { kind: 'not_waiting', state: 'approval_expired' } });
    const asked = acquire(KEY, failed, request('r2'), NOW + 1_000);
    expect(asked.answer).toMatchObject({ kind: 'approval_required', approvalExpired: true });
    expect(asked.next).toBeUndefined();
    const freed = end(failed, { by: 'ann' }, NOW + 1_000).next;
    expect(acquire(KEY, freed, request('r2'), NOW + 1_001).answer.kind).toBe('acquired');
  });

  it('that was approved in time does not expire', () => {
    const failed = release(entryIn('running', { approvalForMs: 1_000 }), { token: TOKEN, status: 'failed' }, NOW).next;
    const approved = approve(failed, { by: 'ann' }, NOW + 999).next!;
    expect(asOf(approved, NOW + 86_400_000)).toBe(approved);
    expect(acquire(KEY, approved, request('r2'), NOW + 86_400_000).answer.kind).toBe('acquired');
  });
});

describe('a holder that is gone', () => {
  it('blocks until its time is over, and no longer (G3)', () => {
    const entry = entryIn('running');
    expect(acquire(KEY, entry, request('r2'), OVER - 1).answer.kind).toBe('already_running');
    const { answer, next } = acquire(KEY, entry, request('r2'), OVER);
    expect(answer).toMatchObject({ kind: 'acquired', startedAt: OVER, expiresAt: OVER + TTL_MS });
    expect(next).toMatchObject({ attempts: 2, staleCount: 1 });
    expect(next?.history.map(({ at, what, runId }) => [at, what, runId])).toEqual([
      [START, 'acquired', 'r1'],
      [OVER, 'stale', 'r1'],
      [OVER, 'acquired', 'r2'],
    ]);
  });

  it('needs an approval when its holding says so', () => {
    const entry = entryIn('running', { stale: 'approve' });
    const { answer, next } = acquire(KEY, entry, request('r2'), OVER);
    const error = { name: 'holder_gone', message: 'its holder neither renewed nor released it in time' };
    const required = { kind: 'approval_required', failedRunId: 'r1', failedAt: OVER, error, attempts: 1 };
    expect([answer, next]).toEqual([required, undefined]);
    const approved = approve(entry, { by: 'ann' }, OVER).next;
    expect(approved?.history.map(({ what }) => what)).toEqual(['acquired', 'stale', 'approved']);
    expect(acquire(KEY, approved, request('r2'), OVER).answer.kind).toBe('acquired');
  });

  it('that reports late is believed while no other run has acquired, whether the end was recorded or not', () => {
    for (const entry of [entryIn('running'), entryIn('stale'), entryIn('stale', { stale: 'approve' })]) {
      const failed = release(entry, { token: TOKEN, status: 'failed' }, OVER + 5);
      expect(failed.answer).toEqual({ kind: 'released', state: 'failed' });
      expect(acquire(KEY, failed.next, request('r2'), OVER + 6).answer.kind).toBe('approval_required');
    }
  });

  it(': the time for an approval counts from the end of the holding', () => {
    const entry = entryIn('running', { stale: 'approve', approvalForMs: 1_000 });
    expect(asOf(entry, OVER + 999)).toMatchObject({ state: 'stale', approvableUntil: OVER + 1_000 });
    const lapsed = asOf(entry, OVER + 5_000);
    expect(lapsed).toMatchObject({ state: 'approval_expired', endedAt: OVER });
    expect(lapsed.history.slice(1).map(({ at, what }) => [at, what])).toEqual([
      [OVER, 'stale'],
      [OVER + 1_000, 'approval_expired'],
    ]);
  });

  it('gives the same entry whichever request notices it, and whenever', () => {
    const entry = entryIn('running', { stale: 'approve' });
    expect(asOf(entry, OVER + 1)).toEqual(asOf(entry, OVER + 70_000));
    for (const state of TASK_STATES) {
      const settled = asOf(entryIn(state), OVER + 86_400_000);
      expect(asOf(settled, OVER + 86_400_001)).toBe(settled);
    }
  });
});

describe('an operator', () => {
  it('says who ended it and why', () => {
    const error = { name: 'Operator', message: 'stuck' };
    const failed = end(entryIn('running'), { by: 'ann', status: 'failed', error }, NOW).next;
    expect(failed).toMatchObject({ state: 'failed', error, endedAt: NOW });
    expect(failed?.history.at(-1)).toEqual({ at: NOW, what: 'ended', runId: 'r1', status: 'failed', by: 'ann' });
    const bare = end(entryIn('running'), { by: 'ann', status: 'failed' }, NOW).next;
    expect(bare).toMatchObject({ error: { name: 'failed', message: 'ended by ann' } });
  });

  it('that fails it again restarts the time for an approval', () => {
    const entry = entryIn('approval_expired');
    const { next } = end(entry, { by: 'ann', status: 'failed' }, NOW + APPROVAL_MS);
    expect(next).toMatchObject({ state: 'failed', approvableUntil: NOW + 2 * APPROVAL_MS });
    expect(approve(next, { by: 'ann' }, NOW + APPROVAL_MS).answer.kind).toBe('approved');
  });

  it('takes the holding from its holder, which is told at its next request', () => {
    const { next } = end(entryIn('running'), { by: 'ann' }, NOW);
    expect(renew(next, { token: TOKEN }, NOW).answer).toEqual({ kind: 'not_held', state: 'cancelled', runId: 'r1' });
    expect(release(next, { token: TOKEN, status: 'succeeded' }, NOW).answer.kind).toBe('not_held');
    expect(acquire(KEY, next, request('r2'), NOW).answer.kind).toBe('acquired');
  });
});
