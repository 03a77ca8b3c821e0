import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyHead, isDecided } from '#contracts';
import { BodyBudget } from './body-budget.js';
import { Backlog } from './backlog.js';
import { broken, item, numbered, order } from '../lane/lane.fixture.js';

const HEAD = emptyHead();
const KIB = 1024;

function setUp(laneBuffer = 3, budgetBytes = 1_000) {
  const budget = new BodyBudget(budgetBytes);
  const backlog = new Backlog(budget, laneBuffer);
  const arrive = (...items: ReturnType<typeof item>[]): boolean[] => items.map((each) => backlog.arrive(each, HEAD));
  const upTo = (last: number, bytes = 1): void => {
    for (let seq = backlog.lastSeq + 1; seq <= last; seq++) arrive({ ...item(seq), bytes });
  };
  const seqs = () => ({
    waiting: backlog.waiting.map(({ seq }) => seq),
    broken: backlog.undeliverable.map(({ seq }) => seq),
    cancelOrders: backlog.cancelOrders.map(({ seq }) => seq),
    beyond: [...backlog.beyond],
  });
  return { budget, backlog, arrive, upTo, seqs };
}

describe('a backlog keeps', () => {
  it('messages as a whole up to the buffer, and of the rest their sequences, whatever they are', () => {
    const { arrive, upTo, seqs, backlog, budget } = setUp();
    upTo(3);
    arrive(broken(4), item(5));
    expect(seqs()).toEqual({ waiting: [1, 2, 3], broken: [], cancelOrders: [], beyond: [4, 5] });
    expect([backlog.depth, backlog.isEmpty, backlog.oldestSeq, budget.usedBytes]).toEqual([5, false, 1, 3]);
  });

  it('no message behind one that it did not keep, also when there is room again (L2)', () => {
    const { backlog, arrive, upTo, seqs } = setUp();
    upTo(4);
    backlog.take(backlog.waiting);
    arrive(item(5));
    expect(seqs()).toMatchObject({ waiting: [], beyond: [4, 5] });
    expect(backlog.oldestSeq).toBe(4);
  });

  it('orders always, since they act when they come', () => {
    const { arrive, upTo, seqs } = setUp();
    upTo(4);
    arrive(order(5));
    expect(seqs()).toMatchObject({ cancelOrders: [5], beyond: [4] });
  });

  it('a megabyte at most, however many messages that is', () => {
    const { upTo, seqs } = setUp(100, 10_000 * KIB);
    upTo(4, 400 * KIB);
    expect(seqs()).toMatchObject({ waiting: [1, 2, 3], beyond: [4] });
  });

  it('nothing more when the budget of all lanes is spent, and gives back what it took', () => {
    const { backlog, upTo, seqs, budget } = setUp(100, 1_000);
    const other = new Backlog(budget, 100);
    other.arrive({ ...item(1), bytes: 900 }, HEAD);
    upTo(2, 100);
    expect(seqs()).toMatchObject({ waiting: [1], beyond: [2] });
    expect([budget.isSpent, backlog.bytesPerRead]).toEqual([true, 64 * KIB]);
    other.take(other.waiting);
    expect([budget.usedBytes, backlog.bytesPerRead]).toEqual([100, 256 * KIB]);
    backlog.dropDecided({ ...HEAD, upto: 1 });
    expect(budget.usedBytes).toBe(0);
  });
});

describe('what was not kept', () => {
  it('is to be read when less than half of the buffer is left, as much as the buffer holds', () => {
    const { backlog, upTo } = setUp(4);
    upTo(12);
    expect(backlog.toRead(0)).toEqual([]);
    backlog.take(backlog.waiting.slice(0, 2));
    expect(backlog.toRead(0)).toEqual([]);
    backlog.take(backlog.waiting.slice(0, 1));
    expect(backlog.toRead(0)).toEqual([5, 6, 7, 8]);
  });

  it('is to be read as a whole up to what a frozen batch needs', () => {
    const { backlog, upTo } = setUp(4);
    upTo(12);
    expect([backlog.toRead(4), backlog.toRead(7)]).toEqual([[], [5, 6, 7]]);
  });

  it('comes into its place, and what is gone is forgotten', () => {
    const { backlog, upTo, seqs, budget } = setUp(2);
    upTo(6);
    backlog.take(backlog.waiting);
    backlog.refill([item(3), broken(5)], 5);
    expect(seqs()).toEqual({ waiting: [3], broken: [5], cancelOrders: [], beyond: [6] });
    expect(budget.usedBytes).toBe(2);
  });
});

it('a closed backlog keeps the sequences and gives the bytes back; nothing is read into it any more', () => {
  const { backlog, arrive, upTo, seqs, budget } = setUp(3);
  upTo(2);
  arrive(broken(3), item(4), order(5));
  const taken = backlog.waiting.slice(0, 1);
  backlog.take(taken);
  backlog.close();
  expect([seqs(), budget.usedBytes]).toEqual([{ waiting: [], broken: [], cancelOrders: [], beyond: [2, 3, 4, 5] }, 0]);
  expect(backlog.undecided(taken, HEAD)).toEqual([1, 2, 3, 4, 5]);
  backlog.putBack(taken);
  backlog.refill([item(2)], 2);
  backlog.peek([3], [item(3)], 3);
  expect([seqs().beyond, backlog.peeked, budget.usedBytes]).toEqual([[1, 2, 3, 4, 5], [], 0]);
});

it('a closed backlog keeps what was early as a sequence too, once, and counts no byte of it again', () => {
  const { backlog, arrive, seqs, budget } = setUp(10);
  backlog.startNumbers(1);
  arrive(numbered(1, 2), numbered(2, 3));
  expect([backlog.early.length, backlog.depth]).toEqual([2, 2]);
  backlog.close();
  backlog.dropDecided({ ...HEAD, upto: 1 });
  expect([seqs().beyond, backlog.undecided([], { ...HEAD, upto: 1 }), budget.usedBytes]).toEqual([[2], [2], 0]);
});

it('knows every sequence that is not decided, in order, wherever it has it', () => {
  const step = fc.oneof(
    fc.constantFrom('message' as const, 'broken' as const, 'order' as const, 'take' as const, 'put back' as const),
    fc.constantFrom('refill' as const, 'decide' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (steps, laneBuffer) => {
      const { backlog, budget } = setUp(laneBuffer, 6);
      let head = HEAD;
      let taken: ReturnType<typeof item>[] = [];
      const kinds = { message: item, broken, order };
      const arrived = new Map<number, ReturnType<typeof item>>();
      for (const what of steps) {
        if (what in kinds) {
          const next = kinds[what as keyof typeof kinds](backlog.lastSeq + 1);
          arrived.set(next.seq, next);
          backlog.arrive(next, head);
        } else if (what === 'take' && taken.length === 0) {
          taken = backlog.waiting.slice(0, 1);
          backlog.take(taken);
        } else if (what === 'put back') {
          backlog.putBack(taken.filter(({ seq }) => !isDecided(head, seq)));
          taken = [];
        } else if (what === 'refill') {
          const seqs = backlog.toRead(0);
          backlog.refill(
            seqs.map((seq) => arrived.get(seq) as ReturnType<typeof item>),
            seqs.at(-1) ?? 0,
          );
        } else if (what === 'decide') {
          head = { ...head, upto: Math.max(head.upto, (backlog.oldestSeq ?? 1) - 1, head.upto + 1) };
          backlog.dropDecided(head);
          taken = taken.filter(({ seq }) => !isDecided(head, seq));
        }
        const wanted = [...arrived.keys()].filter((seq) => !isDecided(head, seq));
        expect(backlog.undecided(taken, head)).toEqual(wanted);
        const whole = [...backlog.waiting, ...backlog.undeliverable, ...backlog.cancelOrders];
        expect([backlog.depth, budget.usedBytes]).toEqual([
          wanted.length - taken.length - backlog.cancelOrders.length,
          whole.length,
        ]);
        const waiting = backlog.waiting.map(({ seq }) => seq);
        expect(waiting).toEqual(waiting.toSorted((a, b) => a - b));
      }
    }),
    { numRuns: 1_000 },
  );
});
