import { describe, expect, it } from 'vitest';
import { jsonText } from '#contracts';
import { dead, settle, type Settlement, type TurnOutcome } from './settlement.js';
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

const batchOf = ({ attempt, failures = attempt - 1, ...rest }: Given) => ({
  ...{ attempt, failures, items: [] },
  ...rest,
});

const failed: TurnOutcome = { kind: 'failed', error };
const timedOut: TurnOutcome = { kind: 'timed_out', error: timeout };
const terminal: TurnOutcome = { kind: 'failed', error, next: 'never' };
const later = (laterMs: number): TurnOutcome => ({ kind: 'failed', error, next: { laterMs } });

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
      again(5, 4_000, { failures: 1, laterSince: NOW }),
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
    ['later, for the first time', later(4_000), { attempt: 1 }, again(1, 4_000, { laterSince: NOW })],
    ['later, at the last attempt: costs none', later(4_000), { attempt: 3 }, again(3, 4_000, { laterSince: NOW })],
    ['later, beyond the last attempt', later(4_000), { attempt: 9 }, again(9, 4_000, { laterSince: NOW })],
    [
      'later, again',
      later(4_000),
      { attempt: 2, laterSince: NOW - 5_000 },
      again(2, 4_000, { laterSince: NOW - 5_000 }),
    ],
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
      const settlement = settle(later(laterMs), batchOf({ attempt: 1 }), policy, NOW, 0.5);
      expect(settlement).toMatchObject({ kind: 'again', notBefore: NOW + 100 });
    }
    expect(settle(later(0), batchOf({ attempt: 1 }), { ...policy, retryLaterMaxMs: 0 }, NOW, 0.5)).toMatchObject({
      decision: 'dead',
    });
  });

  it('spreads the backoff by chance, and not what was asked for', () => {
    const at = (outcome: TurnOutcome, random: number): Settlement =>
      settle(outcome, batchOf({ attempt: 1 }), policy, NOW, random);
    expect(at(failed, 0)).toMatchObject({ notBefore: NOW + 800 });
    expect(at(failed, 0.75)).toMatchObject({ notBefore: NOW + 1_100 });
    expect(at(later(700), 0)).toMatchObject({ notBefore: NOW + 700 });
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
