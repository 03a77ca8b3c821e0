/** Time for domain code: passed in, so that specs control it. */
export interface Clock {
  /** Wall clock, ms since the epoch. */
  now(): number;
  /** Ms since some fixed moment; never set back or forward, but it may stand still while the machine sleeps. */
  monotonic(): number;
  /** Runs `fn` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, fn: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, fn) => {
    const timer = setTimeout(fn, delayMs);
    return () => clearTimeout(timer);
  },
};
