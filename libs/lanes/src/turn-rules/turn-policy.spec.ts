import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, type TurnPolicy } from './turn-policy.js';

const limits = { turnTimeoutMs: 1, abortGraceMs: 1, maxAttempts: 3, retryLaterMaxMs: 1, laneBuffer: 512 };
const policyOf = (backoffInitialMs: number, backoffMaxMs: number): TurnPolicy => ({
  ...limits,
  backoffInitialMs,
  backoffMaxMs,
});

const DAY_MS = 86_400_000;
const policies = fc
  .record({ initial: fc.integer({ min: 0, max: DAY_MS }), max: fc.integer({ min: 0, max: DAY_MS }) })
  .map(({ initial, max }) => policyOf(initial, max));
const attempts = fc.integer({ min: 1, max: 1_000 });
const randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('backoffMs', () => {
  it.each([
    [1, 1_000],
    [2, 2_000],
    [3, 4_000],
    [5, 16_000],
    [6, 30_000],
    [1_000, 30_000],
  ])('behind attempt %i it is %i ms by default, without jitter', (attempt, expected) => {
    expect(backoffMs(policyOf(1_000, 30_000), attempt, 0.5)).toBe(expected);
  });

  it('the jitter is a fifth up or down', () => {
    expect(backoffMs(policyOf(1_000, 30_000), 1, 0)).toBe(800);
    expect(backoffMs(policyOf(1_000, 30_000), 1, 0.999_999)).toBe(1_200);
  });

  it('grows with the attempts, and stands still at its cap', () => {
    fc.assert(
      fc.property(policies, attempts, randoms, (policy, attempt, random) => {
        const [now, next] = [backoffMs(policy, attempt, random), backoffMs(policy, attempt + 1, random)];
        expect(next).toBeGreaterThanOrEqual(now);
        expect(next).toBeLessThanOrEqual(2 * now + 1);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is a whole number of ms within a fifth of the exact one, whatever the chance', () => {
    fc.assert(
      fc.property(policies, attempts, randoms, (policy, attempt, random) => {
        const pause = backoffMs(policy, attempt, random);
        const exact = Math.min(policy.backoffMaxMs, policy.backoffInitialMs * 2 ** (attempt - 1));
        const bounded = Number.isNaN(exact) ? 0 : exact;
        expect(Number.isSafeInteger(pause)).toBe(true);
        expect(pause).toBeGreaterThanOrEqual(Math.floor(bounded * 0.8));
        expect(pause).toBeLessThanOrEqual(Math.ceil(bounded * 1.2));
      }),
      { numRuns: 1_000 },
    );
  });

  it('uses the whole breadth of its jitter', () => {
    const pauses = [0, 0.25, 0.5, 0.75].map((random) => backoffMs(policyOf(1_000, 1_000), 7, random));
    expect(pauses).toEqual([800, 900, 1_000, 1_100]);
  });
});
