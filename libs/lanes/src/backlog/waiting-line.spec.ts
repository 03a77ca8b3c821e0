import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InboxItem } from './inbox-item.js';
import { GAP_TIMEOUT_MS, item, numbered, seqsOf } from '../lane/lane.fixture.js';
import { numberOf } from './reorder-buffer.js';
import { WaitingLine } from './waiting-line.js';

function setUp(...items: readonly InboxItem[]): WaitingLine {
  const line = new WaitingLine();
  for (const each of items) line.add(each);
  return line;
}

const early = (line: WaitingLine) => seqsOf(line.early);
const waiting = (line: WaitingLine) =>
  line.waiting.map(({ seq, isLate }) => (isLate === true ? `${seq} late` : `${seq}`));

describe('the line', () => {
  it('L2 is that of the inbox as long as no message has a number, and until it is known which one is due', () => {
    const line = setUp(item(1), numbered(2, 2), numbered(3, 1));
    expect([waiting(line), line.hasNumbers, line.oldestSeq]).toEqual([['1', '2', '3'], false, 1]);
    line.startNumbers(1);
    expect([waiting(line), line.hasNumbers, line.oldestSeq]).toEqual([['1', '3', '2'], true, 1]);
    expect(seqsOf(line.itemsOf([2, 3, 9]))).toEqual([2, 3]);
  });

  it('does not wait for the number of what gets no turn', () => {
    const line = setUp();
    line.startNumbers(1);
    line.add(numbered(1, 3));
    line.pass(numbered(2, 1));
    line.add(numbered(3, 2));
    line.remove(3);
    expect([waiting(line), early(line), line.earlyCount, line.oldestSeq]).toEqual([['1'], [], 0, 1]);
  });

  it('is marked late where a record went on to a higher number', () => {
    const line = setUp(numbered(1, 1), numbered(2, 3), numbered(3, 4));
    line.startNumbers(1);
    line.adoptNumbers(4);
    expect(waiting(line)).toEqual(['1 late', '2 late', '3']);
  });

  it('is left behind as a whole; the next reader counts from the lowest that was released', () => {
    const line = setUp(numbered(1, 1), numbered(2, 2), numbered(3, 5));
    line.startNumbers(1);
    const taken = line.waiting.slice(0, 1);
    line.take(taken);
    expect([seqsOf(line.clear()), waiting(line), early(line)]).toEqual([[2, 3], [], []]);
    expect(line.nextNumberAfter(() => [], null)).toBe(2);
    line.unsee(taken);
    expect(line.nextNumberAfter(() => [], null)).toBe(1);
  });
});

it('L2 no message without a mark stands behind a higher number, in any order of taking, putting back and giving up', () => {
  const step = fc.record({
    what: fc.constantFrom('add', 'add', 'add', 'take', 'put back', 'give up', 'begun' as const),
    sequence: fc.option(fc.integer({ min: 0, max: 8 }), { nil: undefined }),
    picks: fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.constantFrom(null, 0, 1, 3), (steps, next) => {
      const line = setUp();
      line.startNumbers(next);
      let taken: InboxItem[] = [];
      const left = new Set<number>();
      for (const [i, { what, sequence, picks }] of steps.entries()) {
        const known = [...line.waiting, ...line.early];
        if (what === 'add') line.add(sequence === undefined ? item(i + 1) : numbered(i + 1, sequence));
        if (what === 'add') left.add(i + 1);
        if (what === 'take' && taken.length === 0) line.take((taken = line.waiting.slice(0, 2)));
        if (what === 'put back') line.putBack(taken.splice(0));
        if (what === 'give up') line.giveUpGaps(i * GAP_TIMEOUT_MS, line.earlyCount > 2, 0);
        if (what === 'begun' && line.hasNumbers && taken.length === 0) {
          const batch = known.filter((_each, at) => picks[at] === true).map(({ seq }) => seq);
          line.releaseNow(batch.toReversed());
          line.take((taken = line.itemsOf(batch.toReversed())));
          expect(seqsOf(taken)).toEqual(batch.toReversed());
        }
        const inOrder = [...taken, ...line.waiting].flatMap((each) =>
          each.isLate === true ? [] : (numberOf(each) ?? []),
        );
        expect(inOrder).toEqual(inOrder.toSorted((a, b) => a - b));
        const here = [...taken, ...line.waiting, ...line.early].map(({ seq }) => seq);
        expect(here.toSorted((a, b) => a - b)).toEqual([...left]);
      }
    }),
    { numRuns: 2_000 },
  );
});
