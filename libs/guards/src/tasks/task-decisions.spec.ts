import { describe, expect, it } from 'vitest';
import { jsonText, OUTCOMES, TASK_STATES, writeJsonObject, type Outcome, type TaskState } from '#contracts';
import { acquire, approve, asOf, end, release, renew, type Decided } from './task-decisions.js';
import { parseTaskEntry, type TaskEntry } from './task-entry.js';
import { APPROVAL_MS, entryIn, KEY, request, START, TOKEN, TTL_MS, written } from './tasks.fixture.js';

const NOW = START + 5_000;
const OVER = START + TTL_MS;
const EVERY = ['none', ...TASK_STATES] as const;
type From = (typeof EVERY)[number];

const found = (state: From, more = {}): TaskEntry | undefined => (state === 'none' ? undefined : entryIn(state, more));
/** `stale` only when the time is over. */
const timeOf = (state: From): number => (state === 'stale' || state === 'approval_expired' ? OVER + APPROVAL_MS : NOW);

/** The kind of an answer, and the state that is written; `-` = none is written. */
function short({ answer, next }: Decided<{ readonly kind: string }>): string {
  if (next !== undefined) expect(parseTaskEntry(writeJsonObject(next))).toEqual(next);
  return `${answer.kind} ${next?.state ?? '-'}`;
}

describe('every request in every state', () => {
  const ACQUIRED = 'acquired running';
  const WAIT = 'approval_required -';
  const NOT_HELD = 'not_held -';
  it.each<[From, Record<string, string>]>([
    ['none', { acquire: ACQUIRED, own: ACQUIRED, renew: NOT_HELD, release: NOT_HELD, approve: 'not_waiting -' }],
    [
      'running',
      {
        ...{ acquire: 'already_running -', own: 'already_running -', renew: 'renewed running' },
        ...{ release: 'released succeeded', approve: 'not_waiting -' },
      },
    ],
    [
      'succeeded',
      { acquire: ACQUIRED, own: 'done -', renew: NOT_HELD, release: 'released -', approve: 'not_waiting -' },
    ],
    ['cancelled', { acquire: ACQUIRED, own: ACQUIRED, renew: NOT_HELD, release: NOT_HELD, approve: 'not_waiting -' }],
    ['failed', { acquire: WAIT, own: WAIT, renew: NOT_HELD, release: NOT_HELD, approve: 'approved approved' }],
    [
      'stale',
      { acquire: ACQUIRED, own: ACQUIRED, renew: NOT_HELD, release: 'released succeeded', approve: 'not_waiting -' },
    ],
    ['approved', { acquire: ACQUIRED, own: ACQUIRED, renew: NOT_HELD, release: NOT_HELD, approve: 'approved -' }],
    ['approval_expired', { acquire: WAIT, own: WAIT, renew: NOT_HELD, release: NOT_HELD, approve: 'not_waiting -' }],
  ])('%s', (state, wanted) => {
    const entry = found(state);
    const now = timeOf(state);
    expect({
      acquire: short(acquire(KEY, entry, request('r2'), now)),
      own: short(acquire(KEY, entry, request('r1', { requestId: 'other' }), now)),
      renew: short(renew(entry, { token: TOKEN }, now)),
      release: short(release(entry, { token: TOKEN, status: 'succeeded' }, now)),
      approve: short(approve(entry, { by: 'bob' }, now)),
    }).toEqual(wanted);
  });

  it.each(EVERY)('%s cannot be changed with another token (G4)', (state) => {
    const entry = found(state);
    for (const token of [TOKEN - 1, TOKEN + 1, TOKEN + 2]) {
      for (const now of [timeOf(state), OVER + APPROVAL_MS]) {
        expect(short(renew(entry, { token }, now))).toBe('not_held -');
        for (const status of OUTCOMES) expect(short(release(entry, { token, status }, now))).toBe('not_held -');
      }
    }
  });

  it.each<[From, string, string, string, string]>([
    ['none', 'not_held -', 'not_held -', 'not_held -', 'not_held -'],
    ['running', 'ended cancelled', 'ended failed', 'ended cancelled', 'not_held -'],
    ['stale', 'ended cancelled', 'ended failed', 'ended cancelled', 'not_held -'],
    ['succeeded', 'ended cancelled', 'ended failed', 'not_held -', 'not_held -'],
    ['cancelled', 'ended -', 'ended failed', 'ended -', 'not_held -'],
    ['failed', 'ended cancelled', 'ended -', 'not_held -', 'not_held -'],
    ['approved', 'ended cancelled', 'ended failed', 'not_held -', 'not_held -'],
    ['approval_expired', 'ended cancelled', 'ended failed', 'not_held -', 'not_held -'],
  ])('%s, ended by an operator: cancelled %s, failed %s, of its run %s, of another run %s', (state, ...wanted) => {
    const entry = found(state);
    const now = timeOf(state);
    const ways = [{}, { status: 'failed' as const }, { runId: 'r1' }, { runId: 'r2' }];
    expect(ways.map((way) => short(end(entry, { by: 'ann', ...way }, now)))).toEqual(wanted);
  });
});

describe('the next attempt of its holder (G4)', () => {
  const next = (runId: string, formerToken: number, requestId = 'next') => request(runId, { requestId, formerToken });

  it('gets a new token, the revision of its write, and the former token is invalid', () => {
    const { answer, next: after } = acquire(KEY, found('running'), next('r1', TOKEN), NOW);
    expect(answer).toMatchObject({ kind: 'acquired', token: 0, startedAt: NOW });
    expect(after).toMatchObject({ state: 'running', token: 0, requestId: 'next', runId: 'r1', attempts: 2 });
    expect(after?.history.map(({ what }) => what)).toEqual(['acquired', 'acquired']);
    const standing = { ...(after as TaskEntry), token: TOKEN + 5 };
    expect(short(renew(standing, { token: TOKEN }, NOW))).toBe('not_held -');
    // Repeated, it gets the same answer.
    const again = acquire(KEY, standing, next('r1', TOKEN), NOW);
    expect([again.answer, again.next]).toMatchObject([{ kind: 'acquired', token: TOKEN + 5 }, undefined]);
    // With another request id it belongs to an attempt that is over.
    expect(acquire(KEY, standing, next('r1', TOKEN, 'other'), NOW).answer).toMatchObject({
      kind: 'already_running',
      own: true,
    });
  });

  it('is only for its holder: neither another run nor another token gets it', () => {
    for (const asked of [next('r2', TOKEN), next('r1', TOKEN - 1), next('r1', TOKEN + 1)])
      expect(short(acquire(KEY, found('running'), asked, NOW))).toBe('already_running -');
  });

  it('is also granted late, while no request has noticed; afterwards it is treated like any other acquire', () => {
    const late = found('running', { stale: 'approve' });
    expect(short(acquire(KEY, late, next('r1', TOKEN), OVER + 1))).toBe('acquired running');
    for (const state of ['failed', 'approval_expired'] as const)
      expect(short(acquire(KEY, found(state), next('r1', TOKEN), timeOf(state)))).toBe('approval_required -');
  });
});

describe('a holding', () => {
  it('begins with all that was asked for, and the revision of its write is its token', () => {
    const asked = request('r1', { owner: 'w/1', meta: jsonText({ a: 1 }), stale: 'approve', approvalForMs: 5_000 });
    const { answer, next } = acquire(KEY, undefined, asked, START);
    expect(answer).toEqual({ kind: 'acquired', token: 0, startedAt: START, expiresAt: OVER });
    const { requestId, runId, ttlMs, owner, meta, stale, approvalForMs } = asked;
    expect(next).toEqual({
      ...{ v: 1, key: KEY, state: 'running', token: 0, requestId, runId, ttlMs, owner, meta, stale, approvalForMs },
      ...{ startedAt: START, expiresAt: OVER, grantedUntil: OVER, attempts: 1, staleCount: 0 },
      history: [{ at: START, what: 'acquired', runId: 'r1' }],
    });
  });

  it('lasts five minutes and is healed by default', () => {
    const { next } = acquire(KEY, undefined, { requestId: 'q', runId: 'r' }, START);
    expect(next).toMatchObject({ ttlMs: 300_000, expiresAt: START + 300_000, stale: 'heal' });
  });

  it('tells others who runs it, since when and how long (G1), and its own run that it is the same', () => {
    const entry = entryIn('running', { owner: 'w/1' });
    const running = { kind: 'already_running', runId: 'r1', startedAt: START, expiresAt: OVER, owner: 'w/1' };
    expect(acquire(KEY, entry, request('r2'), OVER - 1)).toEqual({ answer: { ...running, own: false } });
    const again = request('r1', { requestId: 'another' });
    expect(acquire(KEY, entry, again, OVER - 1)).toEqual({ answer: { ...running, own: true } });
  });

  it('gives the same answer to the same request, even after it was renewed', () => {
    const entry = entryIn('running');
    const renewed = written(renew(entry, { token: TOKEN, ttlMs: 90_000 }, NOW).next, TOKEN + 1);
    const same = { answer: { kind: 'acquired', token: TOKEN, startedAt: START, expiresAt: OVER } };
    expect(acquire(KEY, entry, request('r1'), NOW)).toEqual(same);
    expect(acquire(KEY, renewed, request('r1', { ttlMs: 1_000 }), OVER + 1)).toEqual(same);
  });

  it('that is over starts again even for the request that began it: its old token is invalid', () => {
    const { answer, next } = acquire(KEY, entryIn('running'), request('r1'), OVER);
    expect(answer).toMatchObject({ kind: 'acquired', token: 0, startedAt: OVER });
    expect(next).toMatchObject({ attempts: 2, staleCount: 1, startedAt: OVER });
  });

  it('keeps its owner and its meta when it is over', () => {
    const told = { owner: 'w/1', meta: jsonText({ a: 1 }) };
    const entry = entryIn('running', told);
    for (const status of OUTCOMES) expect(release(entry, { token: TOKEN, status }, NOW).next).toMatchObject(told);
    expect(asOf(entry, OVER)).toMatchObject({ state: 'stale', ...told });
  });

  it('is renewed for its time from now, and the next renewal does the same', () => {
    const entry = entryIn('running');
    expect(renew(entry, { token: TOKEN }, NOW).answer).toEqual({ kind: 'renewed', expiresAt: NOW + TTL_MS });
    const { answer, next } = renew(entry, { token: TOKEN, ttlMs: 5_000 }, NOW);
    expect(answer).toEqual({ kind: 'renewed', expiresAt: NOW + 5_000 });
    expect(renew(next, { token: TOKEN }, NOW + 1).answer).toEqual({ kind: 'renewed', expiresAt: NOW + 5_001 });
  });

  it('is also renewed late, while no other run has acquired', () => {
    expect(renew(entryIn('running'), { token: TOKEN }, OVER + 9).answer).toMatchObject({ kind: 'renewed' });
    const { answer } = renew(entryIn('stale'), { token: TOKEN }, OVER + 9);
    expect(answer).toEqual({ kind: 'not_held', state: 'stale', runId: 'r1' });
  });

  it('that was replaced by another is neither renewed nor released with the old token (G4)', () => {
    const next = written(acquire(KEY, entryIn('running'), request('r2'), OVER).next, TOKEN + 5);
    expect(next.token).toBe(TOKEN + 5);
    const notHeld = { answer: { kind: 'not_held', state: 'running', runId: 'r2' } };
    expect(renew(next, { token: TOKEN }, OVER + 1)).toEqual(notHeld);
    for (const status of OUTCOMES) expect(release(next, { token: TOKEN, status }, OVER + 1)).toEqual(notHeld);
    expect(renew(next, { token: TOKEN + 5 }, OVER + 1).answer.kind).toBe('renewed');
  });
});

describe('a release', () => {
  it.each<[Outcome, TaskState]>([
    ['succeeded', 'succeeded'],
    ['cancelled', 'cancelled'],
    ['interrupted', 'cancelled'],
    ['failed', 'failed'],
    ['timed_out', 'failed'],
    ['rejected', 'failed'],
  ])('%s leads to %s, and gets the same answer again', (status, state) => {
    for (const before of ['running', 'stale'] as const) {
      const { answer, next } = release(entryIn(before), { token: TOKEN, status }, OVER + 1);
      expect(answer).toEqual({ kind: 'released', state });
      expect(next).toMatchObject({ state, status, endedAt: OVER + 1, token: TOKEN });
      expect(next?.history.at(-1)).toEqual({ at: OVER + 1, what: 'released', runId: 'r1', status });
      expect(release(next, { token: TOKEN, status }, OVER + 2)).toEqual({ answer });
    }
  });

  it('with another status the second time changes nothing', () => {
    const notHeld = (state: TaskState) => ({ answer: { kind: 'not_held', state, runId: 'r1' } });
    expect(release(entryIn('failed'), { token: TOKEN, status: 'succeeded' }, NOW)).toEqual(notHeld('failed'));
    expect(release(entryIn('failed'), { token: TOKEN, status: 'timed_out' }, NOW)).toEqual(notHeld('failed'));
    expect(release(entryIn('cancelled'), { token: TOKEN, status: 'interrupted' }, NOW)).toEqual(notHeld('cancelled'));
  });

  it('of a failure gets the same answer even when it was approved or its approval expired in between', () => {
    const repeated = { token: TOKEN, status: 'failed' } as const;
    expect(release(entryIn('approved'), repeated, NOW)).toEqual({ answer: { kind: 'released', state: 'approved' } });
    const answer = { kind: 'released', state: 'approval_expired' };
    expect(release(entryIn('approval_expired'), repeated, NOW)).toEqual({ answer });
  });

  it('by a holder that was gone does not undo the approval of its stale holding', () => {
    const stale = entryIn('stale', { stale: 'approve' });
    const approved = written(approve(stale, { by: 'ann' }, OVER + 1).next, TOKEN + 2);
    for (const status of OUTCOMES) {
      expect(short(release(approved, { token: TOKEN, status }, OVER + 2)), status).toBe('not_held -');
    }
  });

  it('keeps its error and its result', () => {
    const error = { name: 'Oops', message: 'no' };
    const failed = release(entryIn('running'), { token: TOKEN, status: 'failed', error }, NOW).next;
    expect(failed).toMatchObject({ error });
    const bare = release(entryIn('running'), { token: TOKEN, status: 'timed_out' }, NOW).next;
    expect(bare).toMatchObject({ error: { name: 'timed_out', message: 'its holder gave no reason' } });
    const done = release(
      entryIn('running'),
      { token: TOKEN, status: 'succeeded', result: jsonText({ a: 1 }) },
      NOW,
    ).next;
    expect(done).toMatchObject({ result: jsonText({ a: 1 }), attempts: 0 });
  });
});

it('keeps the last fifty steps of a task', () => {
  let entry: TaskEntry | undefined;
  for (let i = 0; i < 40; i++) {
    entry = written(acquire(KEY, entry, request(`r${i}`), NOW + i).next, i + 1);
    entry = written(release(entry, { token: i + 1, status: 'interrupted' }, NOW + i).next, i + 1);
  }
  expect(entry?.history).toHaveLength(50);
  expect(entry?.history[0]).toMatchObject({ what: 'acquired', runId: 'r15' });
  expect(entry?.history.at(-1)).toMatchObject({ what: 'released', runId: 'r39' });
});
