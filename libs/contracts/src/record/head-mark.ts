import type { Head } from './record.js';

/**
 * The highest inbox sequence that a head speaks of, decided or in work. The inbox once had it: one that ends before it was
 * set back, and would give the same sequence to another message, which this head then counts as its own.
 */
export function highestOfHead({ upto, done, run, runs = [] }: Pick<Head, 'upto' | 'done' | 'run' | 'runs'>): number {
  return Math.max(upto, ...done.map(([, to]) => to), ...[run, ...runs].flatMap((each) => each?.seqs ?? []));
}
