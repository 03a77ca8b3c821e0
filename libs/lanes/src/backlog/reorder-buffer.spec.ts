import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InboxItem } from './inbox-item.js';
import { GAP_TIMEOUT_MS, numbered } from '../lane/lane.fixture.js';
import { numberOf, ReorderBuffer } from './reorder-buffer.js';

const told = (items: readonly InboxItem[]) =>
  items.map((each) => `${numberOf(each)}${each.isLate === true ? ' late' : ''}`);

/** Admits these numbers, as messages 1, 2, …; the answers, one by one. */
function admit(buffer: ReorderBuffer, ...numbers: number[]): string[][] {
  return numbers.map((number, i) => told(buffer.admit(numbered(i + 1, number), number)));
}

describe('the count', () => {
  it.each([0, 1])('begins with %d at once', (first) => {
    const buffer = new ReorderBuffer(null);
    expect(admit(buffer, first, first + 1)).toEqual([[`${first}`], [`${first + 1}`]]);
    expect(buffer.nextNumber).toBe(first + 2);
  });

  it('waits once when it begins elsewhere, and goes on from there', () => {
    const buffer = new ReorderBuffer(null);
    expect(admit(buffer, 7, 9)).toEqual([[], []]);
    buffer.startClock(1_000);
    expect(buffer.endsAt(1_000)).toBe(1_100);
    expect(buffer.giveUp(1_099, false)).toEqual({ released: [], gaps: [] });
    const { released, gaps } = buffer.giveUp(1_100, false);
    expect([told(released), gaps.map(({ expected }) => expected)]).toEqual([
      ['7', '9'],
      [null, 8],
    ]);
    expect(buffer.nextNumber).toBe(10);
  });

  it('holds back what came early until the gap closes', () => {
    expect(admit(new ReorderBuffer(1), 3, 2, 5, 1, 4)).toEqual([[], [], [], ['1', '2', '3'], ['4', '5']]);
  });

  it('marks what comes late, and lets it go at once', () => {
    const buffer = new ReorderBuffer(4);
    expect(admit(buffer, 3, 4, 4)).toEqual([['3 late'], ['4'], ['4 late']]);
    expect(buffer.nextNumber).toBe(5);
  });

  it('follows a record that is further: what is early and below it is late by then', () => {
    const buffer = new ReorderBuffer(1);
    admit(buffer, 3, 5, 6);
    expect(told(buffer.raise(5))).toEqual(['3 late', '5', '6']);
    expect([told(buffer.raise(2)), told(buffer.raise(null)), buffer.nextNumber]).toEqual([[], [], 7]);
  });

  it('waits for no number whose message was decided while it was early', () => {
    const buffer = new ReorderBuffer(1);
    admit(buffer, 3, 2, 4);
    buffer.forget((seq) => seq === 1);
    expect(told(buffer.items)).toEqual(['2', '4']);
    expect(told(buffer.admit(numbered(9, 1), 1))).toEqual(['1', '2', '4']);
  });
});

it('a number whose message does not wait is seen: those behind it do not wait for it', () => {
  const buffer = new ReorderBuffer(null);
  expect([told(buffer.pass(2)), told(buffer.pass(1)), buffer.nextNumber]).toEqual([[], [], 3]);
  admit(buffer, 5);
  expect([told(buffer.pass(4)), told(buffer.pass(3)), buffer.nextNumber, told(buffer.pass(1))]).toEqual([
    [],
    ['5'],
    6,
    [],
  ]);
});

describe('the wait for a gap', () => {
  it('is over for each message by its own time, and for all before it', () => {
    const buffer = new ReorderBuffer(1);
    admit(buffer, 9);
    buffer.startClock(0);
    buffer.admit(numbered(2, 4), 4);
    expect(buffer.endsAt(50)).toBe(100);
    const { released, gaps } = buffer.giveUp(100, false);
    expect([told(released), gaps.map(({ expected, item: to }) => [expected, numberOf(to)])]).toEqual([
      ['4', '9'],
      [
        [1, 4],
        [5, 9],
      ],
    ]);
  });

  it('is not begun by asking when it ends', () => {
    const buffer = new ReorderBuffer(1);
    admit(buffer, 9);
    expect([buffer.endsAt(0), buffer.endsAt(50)]).toEqual([GAP_TIMEOUT_MS, 50 + GAP_TIMEOUT_MS]);
    buffer.startClock(70);
    expect([buffer.endsAt(80), buffer.endsAt(90)]).toEqual([70 + GAP_TIMEOUT_MS, 70 + GAP_TIMEOUT_MS]);
  });

  it('ends when there is no room, with the first that is early', () => {
    const buffer = new ReorderBuffer(1);
    admit(buffer, 5, 3, 4, 8);
    buffer.startClock(0);
    expect(told(buffer.giveUp(1, true).released)).toEqual(['3', '4', '5']);
    expect([told(buffer.items), buffer.nextNumber]).toEqual([['8'], 6]);
  });
});

it('L2 releases each message once, in the order of its number but for what it marks as late, and keeps none waiting', () => {
  const step = fc.record({
    number: fc.nat({ max: 12 }),
    afterMs: fc.constantFrom(0, 0, 0, 30, 120),
    isRoomGone: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.constantFrom(null, 0, 1, 4), (steps, start) => {
      const buffer = new ReorderBuffer(start);
      const released: InboxItem[] = [];
      const admittedAt = new Map<number, number>();
      let now = 0;
      for (const [i, { number, afterMs, isRoomGone }] of steps.entries()) {
        now += afterMs;
        const given = buffer.giveUp(now, isRoomGone && buffer.size > 3);
        released.push(...given.released);
        admittedAt.set(i + 1, now);
        released.push(...buffer.admit(numbered(i + 1, number), number));
        buffer.startClock(now);
      }
      for (const { seq } of buffer.items) expect(now - (admittedAt.get(seq) ?? 0)).toBeLessThan(GAP_TIMEOUT_MS + 120);
      released.push(...buffer.giveUp(now + GAP_TIMEOUT_MS, false).released);
      expect(released.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(steps.map((_, i) => i + 1));
      const inOrder = released.filter(({ isLate }) => isLate !== true).map(numberOf);
      expect(inOrder).toEqual([...new Set(inOrder)].toSorted((a, b) => (a ?? 0) - (b ?? 0)));
      for (const [i, each] of released.entries()) {
        // Late is only what came behind a higher number.
        const before = released.slice(0, i).map((other) => numberOf(other) ?? 0);
        if (each.isLate === true) expect(Math.max(start ?? 0, ...before)).toBeGreaterThanOrEqual(numberOf(each) ?? 0);
      }
    }),
    { numRuns: 2_000 },
  );
});
