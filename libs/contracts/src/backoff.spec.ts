import { describe, expect, it } from 'vitest';
import { doublingWaitMs, retryWhile } from './backoff.js';

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

describe('an attempt that is retried', () => {
  it.each([
    { title: 'succeeds at once', failures: 0, mayTry: 9, tries: 1, waits: [], result: 'done' },
    { title: 'succeeds after failures', failures: 3, mayTry: 9, tries: 4, waits: [0, 1, 2], result: 'done' },
    { title: 'succeeds at the last try', failures: 1, mayTry: 2, tries: 2, waits: [0], result: 'done' },
    { title: 'ends when it may not be tried', failures: 9, mayTry: 2, tries: 2, waits: [0, 1], result: undefined },
    { title: 'may not be tried at all', failures: 0, mayTry: 0, tries: 0, waits: [], result: undefined },
  ])('$title', async ({ failures, mayTry, tries, waits, result }) => {
    let tried = 0;
    const waited: number[] = [];
    const attempt = () =>
      ++tried <= failures ? Promise.reject(new Error(`failure ${tried}`)) : Promise.resolve('done');
    const wait = (error: unknown, former: number) => {
      expect(error).toEqual(new Error(`failure ${former + 1}`));
      waited.push(former);
      return Promise.resolve();
    };
    expect(await retryWhile(attempt, { mayTry: () => tried < mayTry, wait })).toBe(result);
    expect([tried, waited]).toEqual([tries, waits]);
  });

  it('rejects when its wait does, e.g. with a failure that a retry cannot help', async () => {
    const attempt = () => Promise.reject(new Error('refused'));
    const wait = async (error: unknown) => {
      throw error;
    };
    await expect(retryWhile(attempt, { mayTry: () => true, wait })).rejects.toThrow('refused');
  });
});
