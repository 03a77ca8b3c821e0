import { describe, expect, it } from 'vitest';
import { jsonText } from '#contracts';
import { dead, settle, type Settlement, type TurnOutcome } from './settlement.js';
import type { Batch } from './batch.js';
import type { TurnPolicy } from './turn-policy.js';

const NOW = 50_000;
const error = { name: 'Boom', message: 'no' };
const timeout = { name: 'turn_timeout', message: 'too long' };

const policy: TurnPolicy = {
  turnTimeoutMs: 1_000,
  abortGraceMs: 100,
  maxAttempts: 3,
  backoffInitialMs: 1_000,
  backoffMaxMs: 30_000,
  retryLaterMaxMs: 10_000,
  laneBuffer: 512,
};

interface Given {
  readonly attempt: number;
  /** Absent: each attempt before this one failed. */
  readonly failures?: number;
  readonly laterSince?: number;
}

const batchOf = ({ attempt, failures = attempt - 1, ...rest }: Given & Partial<Pick<Batch, 'task' | 'items'>>) => ({
  ...{ attempt, failures, items: [] },
  ...rest,
});

const failed: TurnOutcome = { kind: 'failed', error };
const timedOut: TurnOutcome = { kind: 'timed_out', error: timeout };
const terminal: TurnOutcome = { kind: 'failed', error, next: 'never' };
const later = (laterMs: number): TurnOutcome => ({ kind: 'failed', error, next: { laterMs } });

const notWithin = (notWithinMs: number): TurnOutcome => ({ kind: 'failed', error, next: { notWithinMs } });

const again = (attempt: number, inMs: number, more: object = {}) => ({
  kind: 'again',
  attempt,
  failures: attempt - 1,
  notBefore: NOW + inMs,
  error,
  ...more,
});
const deadAs = (status: string, of = error) => ({
  kind: 'end',
  status,
  decision: 'dead',
  reason: of.name,
  sends: [],
  error: of,
});
const deadLate = expect.objectContaining({
  ...{ kind: 'end', status: 'failed', decision: 'dead', reason: 'Boom', sends: [] },
  error: { name: 'Boom', message: expect.stringMatching(/more than 10000 ms in all \(retryLaterMaxMs\): no$/) },
});

const items = (count: number) => Array.from({ length: count }, (_, i) => ({ seq: i + 1 })) as unknown as Batch['items'];

describe('settle of a task', () => {
  const unclear: TurnOutcome = { kind: 'failed', error, isUnclear: true };
  it.each<[string, TurnOutcome, Given & Partial<Pick<Batch, 'task'>>, unknown]>([
    ['G2 failed: it has one attempt', failed, { attempt: 1, task: { key: 'k' } }, deadAs('failed')],
    ['failed, with attempts left', failed, { attempt: 1, task: { key: 'k', maxAttempts: 5 } }, again(2, 1_000)],
    ['failed beyond those of its agent', failed, { attempt: 4, task: { key: 'k', maxAttempts: 5 } }, again(5, 8_000)],
    ['failed, the last of its own', failed, { attempt: 5, task: { key: 'k', maxAttempts: 5 } }, deadAs('failed')],
    [
      'G2 out of time, with attempts left',
      timedOut,
      { attempt: 1, task: { key: 'k', maxAttempts: 5 } },
      deadAs('timed_out', timeout),
    ],
    [
      'G2 without a clear answer, with attempts left',
      unclear,
      { attempt: 1, task: { key: 'k', maxAttempts: 5 } },
      deadAs('timed_out'),
    ],
    ['later: it waits', later(4_000), { attempt: 1, task: { key: 'k' } }, again(1, 5_000, { laterSince: NOW })],
    ['no task: without a clear answer, as any failure', unclear, { attempt: 1 }, again(2, 1_000)],
  ])('%s', (_title, outcome, batch, expected) => {
    expect(settle(outcome, batchOf(batch), policy, NOW, 0.5)).toEqual(expected);
  });
});

describe('settle of several messages', () => {
  const refused: TurnOutcome = { kind: 'failed', error, next: 'split' };
  it('splits a refused batch, and ends a message that is refused alone', () => {
    expect(settle(refused, batchOf({ attempt: 3, items: items(2) }), policy, NOW, 0.5)).toEqual({
      kind: 'split',
      error,
    });
    expect(settle(refused, batchOf({ attempt: 1, items: items(1) }), policy, NOW, 0.5)).toEqual(deadAs('failed'));
  });

  it('has failed when its agent names all of them as failed', () => {
    const names = (...seqs: number[]): TurnOutcome => ({
      ...{ kind: 'succeeded', replies: [] },
      failed: seqs.map((seq) => ({ seq, error: { name: `e${seq}`, message: 'm' } })),
    });
    const of = (outcome: TurnOutcome) => settle(outcome, batchOf({ attempt: 1, items: items(2) }), policy, NOW, 0.5);
    expect(of(names(1))).toMatchObject({ status: 'succeeded', decision: 'handled', failed: [{ seq: 1 }] });
    expect(of(names(1, 2))).toMatchObject({ status: 'failed', decision: 'dead', error: { name: 'e2' } });
  });
});

describe('settle', () => {
  it.each<[string, TurnOutcome, Given, unknown]>([
    ['failed, first of three', failed, { attempt: 1 }, again(2, 1_000)],
    ['failed, second of three', failed, { attempt: 2 }, again(3, 2_000)],
    ['failed, the last', failed, { attempt: 3 }, deadAs('failed')],
    ['failed, beyond the last', failed, { attempt: 5 }, deadAs('failed')],
    [
      'failed, after crashes and stops, which cost no attempt: the backoff is that of its failures',
      failed,
      { attempt: 7, failures: 1 },
      again(8, 2_000, { failures: 2 }),
    ],
    ['failed for the last time, crashes and stops in between', failed, { attempt: 7, failures: 2 }, deadAs('failed')],
    [
      'timed out, after a crash',
      timedOut,
      { attempt: 2, failures: 0 },
      again(3, 1_000, { failures: 1, error: timeout }),
    ],
    [
      'later, after a crash: the count of failures stays',
      later(4_000),
      { attempt: 5, failures: 1 },
      again(5, 5_000, { failures: 1, laterSince: NOW }),
    ],
    [
      'failed, after it was put off: a real attempt ends the putting off',
      failed,
      { attempt: 1, laterSince: 1 },
      again(2, 1_000),
    ],
    ['timed out, first of three', timedOut, { attempt: 1 }, again(2, 1_000, { error: timeout })],
    ['timed out, the last', timedOut, { attempt: 3 }, deadAs('timed_out', timeout)],
    ['timed out, beyond the last', timedOut, { attempt: 4 }, deadAs('timed_out', timeout)],
    ['terminal, first of three', terminal, { attempt: 1 }, deadAs('failed')],
    ['terminal, the last', terminal, { attempt: 3 }, deadAs('failed')],
    // With half of the jitter: a quarter above what was asked for.
    ['later, for the first time', later(4_000), { attempt: 1 }, again(1, 5_000, { laterSince: NOW })],
    ['later, at the last attempt: costs none', later(4_000), { attempt: 3 }, again(3, 5_000, { laterSince: NOW })],
    ['later, beyond the last attempt', later(4_000), { attempt: 9 }, again(9, 5_000, { laterSince: NOW })],
    [
      'later, again',
      later(3_600),
      { attempt: 2, laterSince: NOW - 5_000 },
      again(2, 4_500, { laterSince: NOW - 5_000 }),
    ],
    ['later, at no certain time', later(0), { attempt: 1 }, again(1, 1_250, { laterSince: NOW })],
    [
      'later, at no certain time again: as long again as it was put off so far, and a part more',
      later(0),
      { attempt: 1, laterSince: NOW - 4_000 },
      again(1, 5_000, { laterSince: NOW - 4_000 }),
    ],
    [
      'later, at no certain time, near the bound: once more at the bound',
      later(0),
      { attempt: 1, laterSince: NOW - 9_000 },
      again(1, 1_000, { laterSince: NOW - 9_000 }),
    ],
    [
      'later, since a time that is still to come: the clock was set back, and it counts from now on',
      later(0),
      { attempt: 1, laterSince: NOW + 9 },
      again(1, 1_250, { laterSince: NOW }),
    ],
    ['failed, not again within a time: it costs an attempt', notWithin(4_000), { attempt: 1 }, again(2, 5_000)],
    ['failed, not again within less than its backoff', notWithin(500), { attempt: 1 }, again(2, 1_000)],
    ['failed for the last time, not again within a time', notWithin(4_000), { attempt: 3 }, deadAs('failed')],
    ['failed, not again within a longer time than it may be put off', notWithin(10_001), { attempt: 1 }, deadLate],
    ['later, just within the bound', later(10_000), { attempt: 1 }, again(1, 10_000, { laterSince: NOW })],
    ['later, over the bound at once', later(10_001), { attempt: 1 }, deadLate],
    [
      'later, within the bound in all',
      later(1_000),
      { attempt: 1, laterSince: NOW - 9_000 },
      again(1, 1_000, { laterSince: NOW - 9_000 }),
    ],
    ['later, over the bound in all', later(1_001), { attempt: 1, laterSince: NOW - 9_000 }, deadLate],
    [
      'refused',
      { kind: 'refused', refusal: { reason: 'why', text: 'so', data: { task: 'k' } } },
      { attempt: 3 },
      {
        ...{ kind: 'end', status: 'rejected', decision: 'refused', reason: 'why' },
        sends: [{ kind: 'reply', text: 'so', data: jsonText({ task: 'k' }) }],
      },
    ],
    ['later, for longer than any number', later(Number.POSITIVE_INFINITY), { attempt: 1 }, deadLate],
  ])('%s', (_title, outcome, batch, expected) => {
    const settlement = settle(outcome, batchOf(batch), policy, NOW, 0.5);
    expect(settlement).toEqual(expected);
    // Absent and undefined differ in a record.
    expect(Object.keys(settlement).toSorted()).toEqual(
      Object.keys(JSON.parse(JSON.stringify(settlement)) as object).toSorted(),
    );
  });

  it.each<[string, TurnOutcome]>([
    ['failed', failed],
    ['timed out', timedOut],
  ])('%s with one attempt alone is dead at once', (_title, outcome) => {
    expect(settle(outcome, batchOf({ attempt: 1 }), { ...policy, maxAttempts: 1 }, NOW, 0.5)).toMatchObject({
      decision: 'dead',
    });
  });

  it('L6 "later" is never at once: an agent that always says so would spin until the bound', () => {
    for (const laterMs of [0, 1]) {
      for (const backoffInitialMs of [0, 1, 99]) {
        const settlement = settle(later(laterMs), batchOf({ attempt: 1 }), { ...policy, backoffInitialMs }, NOW, 0);
        expect(settlement).toMatchObject({ kind: 'again', notBefore: NOW + 100 });
      }
    }
    expect(settle(later(0), batchOf({ attempt: 1 }), { ...policy, retryLaterMaxMs: 0 }, NOW, 0.5)).toMatchObject({
      decision: 'dead',
    });
  });

  it('spreads the backoff by chance up and down, and what was asked for upwards alone', () => {
    const at = (outcome: TurnOutcome, random: number): Settlement =>
      settle(outcome, batchOf({ attempt: 1 }), policy, NOW, random);
    expect(at(failed, 0)).toMatchObject({ notBefore: NOW + 800 });
    expect(at(failed, 0.75)).toMatchObject({ notBefore: NOW + 1_100 });
    expect(at(later(700), 0)).toMatchObject({ notBefore: NOW + 700 });
    expect(at(later(700), 0.5)).toMatchObject({ notBefore: NOW + 875 });
  });

  it('a success is handled, whatever the attempt, with all that it leaves', () => {
    const replies = [{ kind: 'reply' as const, text: 'hi' }];
    for (const attempt of [1, 3, 7]) {
      const plain = settle({ kind: 'succeeded', replies }, batchOf({ attempt, laterSince: 1 }), policy, NOW, 0.5);
      expect(plain).toEqual({ kind: 'end', status: 'succeeded', decision: 'handled', sends: replies });
      expect('state' in plain).toBe(false);
    }
    const cleared = settle(
      { kind: 'succeeded', replies, state: { value: undefined } },
      batchOf({ attempt: 1 }),
      policy,
      NOW,
      0,
    );
    expect(cleared).toMatchObject({ state: { value: undefined } });
  });

  it('a dead one sends and keeps nothing', () => {
    expect(dead(error)).toEqual(deadAs('failed'));
    expect(dead(timeout, 'timed_out')).toEqual(deadAs('timed_out', timeout));
  });
});
