import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SequenceRange } from './record.js';
import { addToRanges, rangesContain } from './sequence-ranges.js';

const all = Number.POSITIVE_INFINITY;

describe('addToRanges', () => {
  it.each<[string, SequenceRange[], number[], number[], number, SequenceRange[]]>([
    ['the first', [], [5], [], all, [[5, 5]]],
    ['nothing', [[5, 6]], [], [], all, [[5, 6]]],
    ['direct neighbours', [[5, 6]], [4, 7], [], all, [[4, 7]]],
    ['a hole of other sessions', [[5, 6]], [20], [], all, [[5, 20]]],
    [
      'an undecided one between',
      [[5, 6]],
      [20],
      [12],
      all,
      [
        [5, 6],
        [20, 20],
      ],
    ],
    ['undecided ones outside', [[5, 6]], [20], [4, 21], all, [[5, 20]]],
    [
      'the one that closes a gap',
      [
        [5, 6],
        [20, 22],
      ],
      [12],
      [],
      all,
      [[5, 22]],
    ],
    [
      'several gaps',
      [
        [2, 2],
        [8, 8],
      ],
      [5, 11],
      [3, 9],
      all,
      [
        [2, 2],
        [5, 8],
        [11, 11],
      ],
    ],
    [
      'a gap that is not read yet',
      [[20, 22]],
      [5],
      [],
      5,
      [
        [5, 5],
        [20, 22],
      ],
    ],
    [
      'a gap that is read in part',
      [[20, 22]],
      [5],
      [],
      18,
      [
        [5, 5],
        [20, 22],
      ],
    ],
    ['a gap that is read', [[20, 22]], [5], [], 19, [[5, 22]]],
    ['no gap, not read', [[6, 22]], [5], [], 5, [[5, 22]]],
  ])('%s', (_title, ranges, seqs, undecided, readTo, expected) => {
    const before = structuredClone(ranges);
    expect(addToRanges(ranges, seqs, undecided, readTo)).toEqual(expected);
    expect(ranges).toEqual(before);
  });
});

describe('rangesContain', () => {
  it('finds what a linear search over the ranges finds', () => {
    const ranges = fc
      .uniqueArray(fc.nat({ max: 60 }), { maxLength: 20 })
      .map((bounds) => bounds.toSorted((a, b) => a - b))
      .map((bounds) =>
        Array.from({ length: bounds.length >> 1 }, (_, i) => bounds.slice(2 * i, 2 * i + 2) as SequenceRange),
      );
    fc.assert(
      fc.property(ranges, (given) => {
        for (let seq = 0; seq <= 61; seq++) {
          expect(rangesContain(given, seq)).toBe(given.some(([from, to]) => from <= seq && seq <= to));
        }
      }),
      { numRuns: 500 },
    );
  });
});
