import type { SequenceRange } from './record.js';

/** Sorted, disjoint `[from, to]` ranges of sequences; heads use them for messages that are decided out of order. */

export function rangesContain(ranges: readonly SequenceRange[], seq: number): boolean {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [from, to] = ranges[middle] as SequenceRange;
    if (seq < from) high = middle - 1;
    else if (seq > to) low = middle + 1;
    else return true;
  }
  return false;
}

/**
 * Adds sequences and joins neighbours. Two ranges are neighbours when no sequence of `undecided` is between them: sequences
 * that do not belong to the session cannot be decided wrongly, so gaps from other sessions cost nothing. What is above
 * `readTo` is not known yet: a gap that reaches beyond it stays a gap.
 */
export function addToRanges(
  ranges: readonly SequenceRange[],
  seqs: readonly number[],
  undecided: readonly number[],
  readTo: number,
): SequenceRange[] {
  const sorted = [...ranges, ...seqs.map((seq): SequenceRange => [seq, seq])].toSorted((a, b) => a[0] - b[0]);
  const joined: SequenceRange[] = [];
  let next = 0;
  for (const [from, to] of sorted) {
    const last = joined.at(-1);
    if (last !== undefined) {
      while (next < undecided.length && (undecided[next] as number) <= last[1]) next++;
      const gap = undecided[next];
      const isKnown = from - 1 <= Math.max(readTo, last[1]);
      if (isKnown && (gap === undefined || gap > from)) {
        joined[joined.length - 1] = [last[0], Math.max(last[1], to)];
        continue;
      }
    }
    joined.push([from, to]);
  }
  return joined;
}
