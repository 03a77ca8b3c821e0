import type { InboxItem } from './inbox-item.js';
import { isConcurrent } from '#contracts';
import { markedLate, numberOf, ReorderBuffer, type Gap } from './reorder-buffer.js';

/**
 * The order in which the messages of a session may be handled: that of the inbox, but where messages have numbers. A place
 * never changes, so that what is put back after a failed turn comes to where it was.
 */
export class ReleaseOrder {
  private readonly buffer: ReorderBuffer;
  /** Where it is another one than that of the inbox. */
  private readonly places = new WeakMap<InboxItem, number>();
  /** The lowest number that was released and still waits, though this lane does not keep its message any more. */
  private lowestUnseen = Number.POSITIVE_INFINITY;

  /** `lastPlace`: the highest sequence that came before, in the order of the inbox. */
  constructor(
    next: number | null,
    private lastPlace: number,
  ) {
    this.buffer = new ReorderBuffer(next);
  }

  get early(): readonly InboxItem[] {
    return this.buffer.items;
  }
  get earlyCount(): number {
    return this.buffer.size;
  }

  /** Takes a message; the answer is what may go on now, in its order. */
  admit(item: InboxItem): readonly InboxItem[] {
    const number = numberOf(item);
    if (number === undefined) return this.place([item]);
    // What runs beside others has no order; its number is seen all the same.
    if (isConcurrent(item.queueing.strategy)) return this.place([item, ...this.buffer.pass(number)]);
    // It is known to be late, though its number may be ahead of those that still wait.
    if (item.isLate === true) return this.place([item, ...this.buffer.pass(number)]);
    return this.place(this.buffer.admit(item, number));
  }

  /** It gets no turn: those behind its number do not wait for it. */
  pass(item: InboxItem): readonly InboxItem[] {
    const number = numberOf(item);
    return number === undefined ? [] : this.place(this.buffer.pass(number));
  }

  raise(next: number | null): readonly InboxItem[] {
    return this.place(this.buffer.raise(next));
  }

  /** The count went on to `next` without these: what was released below it keeps its place, marked. */
  markLate(waiting: InboxItem[], next: number): InboxItem[] {
    return this.mark(waiting, (_item, number) => number < next);
  }

  /**
   * A turn took these, in this order, so their numbers were due. What waits afterwards: of its route, whatever has a lower
   * number than one that stands before it in the turn came late, or comes late now.
   */
  releaseNow(waiting: InboxItem[], batch: readonly InboxItem[]): InboxItem[] {
    const [first] = batch.flatMap((item) => orderNumberOf(item) ?? []);
    const route = batch[0]?.route;
    if (first === undefined) return waiting;
    const all = this.markLate(waiting, first);
    const highestBefore = new Map<number, number>();
    let highest = first;
    for (const item of batch) {
      highestBefore.set(item.seq, highest);
      const number = orderNumberOf(item);
      if (number === undefined || number < highest) continue;
      all.push(...this.raise(number));
      highest = number;
    }
    // Another route's messages are none of this turn, wherever their numbers lie: they may have waited there, in time.
    return this.mark(all, (item, number) => item.route === route && number < (highestBefore.get(item.seq) ?? highest));
  }

  startClock(now: number): void {
    this.buffer.startClock(now);
  }

  endsAt(now: number): number | undefined {
    return this.buffer.endsAt(now);
  }

  giveUp(now: number, isFull: boolean): { readonly released: readonly InboxItem[]; readonly gaps: readonly Gap[] } {
    const { released, gaps } = this.buffer.giveUp(now, isFull);
    return { released: this.place(released), gaps };
  }

  forget(isDecided: (seq: number) => boolean): void {
    this.buffer.forget(isDecided);
  }

  readonly compare = (one: InboxItem, other: InboxItem): number => this.placeOf(one) - this.placeOf(other);

  /** These wait on, but this lane does not keep them any more. */
  unsee(waiting: readonly InboxItem[]): void {
    this.lowestUnseen = Math.min(this.lowestUnseen, lowestNumber(waiting));
  }

  /**
   * The number from which the next reader of the session has to count: no higher than one that is released and not decided,
   * else that message would be late for the reader. null = the count has not begun.
   */
  nextAfter(undecided: readonly InboxItem[]): number | null {
    const { nextNumber } = this.buffer;
    return nextNumber === null ? null : Math.min(nextNumber, this.lowestUnseen, lowestNumber(undecided));
  }

  private place(released: readonly InboxItem[]): readonly InboxItem[] {
    for (const item of released) {
      this.lastPlace = Math.max(this.lastPlace + 1, item.seq);
      if (this.lastPlace !== item.seq) this.places.set(item, this.lastPlace);
    }
    return released;
  }

  private mark(waiting: InboxItem[], isPassed: (item: InboxItem, number: number) => boolean): InboxItem[] {
    const isLate = (item: InboxItem): boolean => {
      const number = orderNumberOf(item);
      return number !== undefined && isPassed(item, number);
    };
    if (!waiting.some(isLate)) return waiting;
    return waiting.map((item) => {
      if (!isLate(item)) return item;
      const late = markedLate(item);
      this.places.set(late, this.placeOf(item));
      return late;
    });
  }

  private placeOf(item: InboxItem): number {
    return this.places.get(item) ?? item.seq;
  }
}

function lowestNumber(items: readonly InboxItem[]): number {
  return Math.min(...items.map((item) => orderNumberOf(item) ?? Number.POSITIVE_INFINITY));
}

/** The number by which it is in its place; undefined when its place has nothing to do with a number. */
function orderNumberOf(item: InboxItem): number | undefined {
  return item.isLate === true || isConcurrent(item.queueing.strategy) ? undefined : numberOf(item);
}
