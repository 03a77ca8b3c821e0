import { highestMark, type ShardProgress } from './lease.js';

/**
 * Whether the source of the work was rewound: it ends before a sequence that it once had (a restored backup, a power cut
 * without a sync, a stream that was created again). New messages in it get sequences that were decided before, so no worker
 * would ever process them: its readers must stop, and its writers must not confirm a message.
 */
export interface SourceCheck {
  readonly isRewound: boolean;
  /** Where it ends now. */
  readonly lastSeq: number;
  /** It had this sequence once. */
  readonly mark: number;
}

/**
 * Read `lastSeq` after the leases, and from the leader: the leases follow what is stored. Read in the other order, or in
 * parallel, a sound source would look rewound. `decided` is the highest sequence that other evidence than the leases calls
 * decided; the leases are written every few seconds only.
 */
export function checkSource(
  lastSeq: number,
  leases: Iterable<Pick<ShardProgress, 'read' | 'open'>>,
  decided = 0,
): SourceCheck {
  let mark = decided;
  for (const lease of leases) mark = Math.max(mark, highestMark(lease));
  return { isRewound: lastSeq < mark, lastSeq, mark };
}

/** What is wrong with a rewound source, for people. */
export function describeRewound(source: string, { lastSeq, mark }: SourceCheck): string {
  return (
    `${source}: found last sequence ${lastSeq}, wanted at least ${mark}, which it had before; it was set back ` +
    '(a restored backup, a power cut, a stream made anew), and what it takes now would count as decided'
  );
}
