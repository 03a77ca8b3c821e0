import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { laterWaitMs, LEAST_LATER_MS, spreadUp } from './later-wait.js';
import type { TurnPolicy } from './turn-policy.js';

const HOUR_MS = 3_600_000;
const limits = { turnTimeoutMs: 1, abortGraceMs: 1, maxAttempts: 3, laneBuffer: 512 };
const policyOf = (retryLaterMaxMs = HOUR_MS, backoffInitialMs = 1_000, backoffMaxMs = 30_000): TurnPolicy => ({
  ...limits,
  ...{ retryLaterMaxMs, backoffInitialMs, backoffMaxMs },
});

const DAY_MS = 86_400_000;
const times = fc.oneof(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 0, max: DAY_MS }));
const policies = fc.tuple(times, times, times).map((fields) => policyOf(...fields));
const asks = fc.oneof(times, fc.double({ min: 0, max: 2_000, noNaN: true }));
const randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

/** The waits of a turn that is put off again and again, each of its calls lasting `callMs`. */
function waitsOf(askedMs: number, policy: TurnPolicy, random: () => number, callMs = 0): number[] {
  const waits: number[] = [];
  let soFarMs = 0;
  for (;;) {
    const waitMs = laterWaitMs({ askedMs, soFarMs }, policy, random());
    if (waitMs === undefined) return waits;
    waits.push(waitMs);
    soFarMs += waitMs + callMs;
  }
}

describe('laterWaitMs', () => {
  it('L6 is never sooner than asked, never under the floor, and never beyond the bound in all', () => {
    fc.assert(
      fc.property(policies, asks, times, randoms, (policy, askedMs, soFarMs, random) => {
        const waitMs = laterWaitMs({ askedMs, soFarMs }, policy, random);
        const leastMs = Math.max(LEAST_LATER_MS, askedMs);
        if (waitMs === undefined) return void expect(soFarMs + leastMs).toBeGreaterThan(policy.retryLaterMaxMs);
        expect(waitMs).toBeGreaterThanOrEqual(leastMs);
        expect(soFarMs + waitMs).toBeLessThanOrEqual(policy.retryLaterMaxMs);
      }),
      { numRuns: 2_000 },
    );
  });

  it('L6 is refused only where what was asked for does not fit, never by chance', () => {
    fc.assert(
      fc.property(policies, asks, times, randoms, randoms, (policy, askedMs, soFarMs, one, other) => {
        const [a, b] = [one, other].map((random) => laterWaitMs({ askedMs, soFarMs }, policy, random));
        expect(a === undefined).toBe(b === undefined);
      }),
      { numRuns: 1_000 },
    );
  });

  it('without a time grows with each wait up to its cap, whatever the chances', () => {
    fc.assert(
      fc.property(fc.array(randoms, { minLength: 8, maxLength: 8 }), (chances) => {
        let i = 0;
        const waits = waitsOf(0, policyOf(), () => chances[i++ % chances.length] as number);
        const growing = waits.slice(0, 5);
        expect(growing[0]).toBeGreaterThanOrEqual(1_000);
        for (const [at, waitMs] of growing.entries()) {
          const before = growing.slice(0, at).reduce((sum, one) => sum + one, 0);
          expect(waitMs).toBeGreaterThanOrEqual(Math.min(30_000, before));
        }
        // The last one ends at the bound.
        for (const waitMs of waits.slice(7, -1)) expect(waitMs).toBeGreaterThanOrEqual(30_000);
        for (const waitMs of waits) expect(waitMs).toBeLessThanOrEqual(45_000);
        expect(waits.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(HOUR_MS);
        expect(waits.length).toBeLessThanOrEqual(130);
      }),
      { numRuns: 100 },
    );
  });

  it('without a time and without jitter is 1, 1, 2, 4, 8, 16, 30, 30 s …', () => {
    expect(waitsOf(0, policyOf(), () => 0).slice(0, 8)).toEqual([
      1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000,
    ]);
  });

  it('counts what its calls took: an agent that is slow to say "later" is asked more seldom', () => {
    expect(waitsOf(0, policyOf(), () => 0, 10_000).slice(0, 3)).toEqual([1_000, 11_000, 30_000]);
  });

  it('of a time that is asked for again and again does not grow: the agent knows', () => {
    expect(new Set(waitsOf(2_000, policyOf(60_000), () => 0))).toEqual(new Set([2_000]));
  });

  it('spreads forty sessions that were told 2 s over a second', () => {
    const waits = Array.from({ length: 40 }, (_, i) => laterWaitMs({ askedMs: 2_000, soFarMs: 0 }, policyOf(), i / 40));
    expect(Math.min(...(waits as number[]))).toBe(2_000);
    expect(Math.max(...(waits as number[]))).toBe(2_975);
    expect(new Set(waits).size).toBe(40);
  });

  it('spreads over no more than a minute', () => {
    expect(spreadUp(1_800_000, 0.999_999)).toBe(1_860_000);
  });

  it.each([0, 0.001, 1, 99, 99.9])('takes %d ms for no time at all', (askedMs) => {
    expect(laterWaitMs({ askedMs, soFarMs: 0 }, policyOf(), 0)).toBe(1_000);
    expect(laterWaitMs({ askedMs, soFarMs: 0 }, policyOf(HOUR_MS, 0, 0), 0)).toBe(LEAST_LATER_MS);
  });

  it('of longer than any time is none', () => {
    expect(laterWaitMs({ askedMs: Number.POSITIVE_INFINITY, soFarMs: 0 }, policyOf(), 0)).toBeUndefined();
  });
});
