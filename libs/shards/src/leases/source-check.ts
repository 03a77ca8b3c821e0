import { highestMark, type ShardProgress } from './lease.js';

/**
 * Whether the source of the work was set back: it ends before a sequence that it once had (a restored backup, a power cut
 * without a sync, a stream that was made anew). What is stored in it then gets sequences that were decided before, so
 * nobody would ever work on it: neither may its readers go on nor may its writers say that they took something.
 */
export interface SourceCheck {
  readonly isRewound: boolean;
  /** Where it ends now. */
  readonly lastSeq: number;
  /** It had this sequence once. */
  readonly mark: number;
}

/**
 * `lastSeq` has to be read after the leases, and from the leader: they only follow what is stored, so read in the other
 * order, or side by side, a sound source would look set back. `decided` is the highest sequence that anything else than the
 * leases calls decided; they are written every few seconds only.
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

/** What is wrong with a source that was set back, for people. */
export function describeRewound(source: string, { lastSeq, mark }: SourceCheck): string {
  return (
    `${source}: found last sequence ${lastSeq}, wanted at least ${mark}, which it had before; it was set back ` +
    '(a restored backup, a power cut, a stream made anew), and what it takes now would count as decided'
  );
}
