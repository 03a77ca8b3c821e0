import { expect, it } from 'vitest';
import { doublingWaitMs } from './backoff.js';

it.each([
  { firstMs: 100, longestMs: 1_000, doublings: 0, waitMs: 100 },
  { firstMs: 100, longestMs: 1_000, doublings: 1, waitMs: 200 },
  { firstMs: 100, longestMs: 1_000, doublings: 3, waitMs: 800 },
  { firstMs: 100, longestMs: 1_000, doublings: 4, waitMs: 1_000 },
  { firstMs: 100, longestMs: 1_000, doublings: 100_000, waitMs: 1_000 },
  { firstMs: 5_000, longestMs: 1_000, doublings: 0, waitMs: 1_000 },
  { firstMs: 0, longestMs: 1_000, doublings: 100_000, waitMs: 0 },
])(
  'from $firstMs up to $longestMs ms, after $doublings doublings, is $waitMs ms',
  ({ doublings, waitMs, ...backoff }) => {
    expect(doublingWaitMs(backoff, doublings)).toBe(waitMs);
  },
);
