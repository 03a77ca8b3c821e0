import type { Head } from './record.js';

/**
 * The highest inbox sequence that a head mentions, decided or in work. The inbox once had it: an inbox that ends before it was
 * rewound, and would give the same sequence to another message, which this head would then count as its own.
 */
export function highestOfHead({ upto, done, run, runs = [] }: Pick<Head, 'upto' | 'done' | 'run' | 'runs'>): number {
  return Math.max(upto, ...done.map(([, to]) => to), ...[run, ...runs].flatMap((each) => each?.seqs ?? []));
}
