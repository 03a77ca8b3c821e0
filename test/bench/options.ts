import type { WorkSize } from './work.js';

export interface BenchOptions extends WorkSize {
  /** How often each side of each part runs; the median counts. */
  readonly runs: number;
  /** Time to live of a member in the part ownership - ms. */
  readonly ttlMs: number;
  /** Where profiles of our services are written; unset = none. */
  readonly profileDir?: string | undefined;
  /** Tells people what is going on. */
  readonly say: (line: string) => void;
}
