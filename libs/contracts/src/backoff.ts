/**
 * How long to wait before the next try: doubling, up to a longest wait. Pure arithmetic: the caller waits, by its own timer or
 * clock, spreads the wait by its own randomness, and knows when to stop. Libraries for retries (p-retry, cockatiel,
 * exponential-backoff) also own the loop and its timer; the loops here wait for the broker to be up as well, end with their
 * owner, and run by a simulated clock in specs.
 */
export interface Backoff {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** 2 ** 30 ms are twelve days: no caller needs more. And a first wait of 0 stays 0. */
const MOST_DOUBLINGS = 30;

/** `doublings`: how many waits came before; 0 = this is the first. */
export function doublingWaitMs({ firstMs, longestMs }: Backoff, doublings: number): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(doublings, MOST_DOUBLINGS));
}
