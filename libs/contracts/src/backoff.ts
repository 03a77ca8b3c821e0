/**
 * The arithmetic and the loop of retries. Both are pure: the caller waits, by its own timer or clock, spreads the wait by its
 * own randomness, and knows when to stop. Libraries for retries (p-retry, cockatiel, exponential-backoff) also own the timer;
 * the loops here also wait for the broker to be up, end with their owner, and run by a simulated clock in specs.
 */
export interface Backoff {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** 2 ** 30 ms are twelve days: no caller needs more. And a first wait of 0 stays 0. */
const MOST_DOUBLINGS = 30;

/** How long to wait before the next try. `doublings`: how many waits came before; 0 = this is the first. */
export function doublingWaitMs({ firstMs, longestMs }: Backoff, doublings: number): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(doublings, MOST_DOUBLINGS));
}

export interface Retries {
  /** Asked before each try, the first one included. */
  readonly mayTry: () => boolean;
  /** Called after each failure, with the number of failures before it. A rejection ends the retries. */
  readonly wait: (error: unknown, formerFailures: number) => Promise<void>;
}

/** Repeats an attempt until it succeeds; `undefined` when it may not be tried any more. */
export async function retryWhile<T>(attempt: () => Promise<T>, { mayTry, wait }: Retries): Promise<T | undefined> {
  for (let failures = 0; mayTry(); failures++) {
    try {
      return await attempt();
    } catch (error) {
      await wait(error, failures);
    }
  }
  return undefined;
}
