import type { InboxItem } from './inbox-item.js';

/**
 * Puts the numbered messages of a session into the order of their numbers. Pure: the caller says what time it is.
 *
 *   not counting --0 or 1--> counting
 *   not counting --another number, and its wait is over--> counting from there
 *   counting:  the next number   is released, and what it was waited for with it
 *              a higher one      is early: it waits until the gap closes, or `gapTimeoutMs` at the most
 *              a lower one       is late: it is released at once, marked
 *
 * L2  What is released is ascending by number, apart from what is marked late.
 */
export interface Gap {
  /** The first number that did not come; null = the count had not begun. */
  readonly expected: number | null;
  /** What the lane goes on with. */
  readonly item: InboxItem;
}

/** So many numbers are remembered that came out of their order. */
const MAX_PASSED = 1_024;

interface Early {
  readonly number: number;
  readonly item: InboxItem;
  /** When its wait began, by the clock of the lanes; undefined = it has not begun. */
  waitsSince: number | undefined;
}

/** The number of a message; undefined when it has none. */
export function numberOf({ content }: InboxItem): number | undefined {
  return content.ok && content.message.kind === 'message' ? content.message.sequence : undefined;
}

export class ReorderBuffer {
  /** Ascending by number. */
  private early: Early[] = [];
  /** Numbers ahead that no message waits for: theirs run beside others, or were decided while they were early. */
  private readonly passed = new Set<number>();

  /** `next`: the number that is due; null = the count has not begun. */
  constructor(private next: number | null) {}

  get nextNumber(): number | null {
    return this.next;
  }

  /** What is early, ascending by number. */
  get items(): readonly InboxItem[] {
    return this.early.map(({ item }) => item);
  }

  get size(): number {
    return this.early.length;
  }

  /** Takes a message; the answer is what may go on now, in its order. */
  admit(item: InboxItem, number: number): InboxItem[] {
    const { next } = this;
    if (next === null ? number > 1 : number > next) {
      const at = this.early.findIndex((other) => other.number > number);
      this.early.splice(at === -1 ? this.early.length : at, 0, { number, item, waitsSince: undefined });
      return [];
    }
    if (next !== null && number < next) return [markedLate(item)];
    this.next = number + 1;
    return [item, ...this.ready()];
  }

  /** A number has come whose message does not wait for those before it: those behind it do not wait for it either. */
  pass(number: number): InboxItem[] {
    const { next } = this;
    if (next !== null && number < next) return [];
    this.passed.add(number);
    if (next === null && number <= 1) this.next = number;
    return this.ready();
  }

  /** A record says that the count is further: what is early and below comes late. */
  raise(next: number | null): InboxItem[] {
    if (next === null || (this.next !== null && next <= this.next)) return [];
    this.next = next;
    return this.ready();
  }

  /** The wait of every early message has begun by now. */
  startClock(now: number): void {
    for (const each of this.early) each.waitsSince ??= now;
  }

  /** When the first wait of an early message is over; undefined = none waits. One that has not begun counts from `now`. */
  endsAt(now: number): number | undefined {
    let endsAt: number | undefined;
    for (const { waitsSince = now, item } of this.early) {
      endsAt = Math.min(endsAt ?? Number.POSITIVE_INFINITY, waitsSince + item.queueing.gapTimeoutMs);
    }
    return endsAt;
  }

  /** Releases every message that has waited long enough, and all before it. `isFull`: the first one in any case. */
  giveUp(now: number, isFull: boolean): { readonly released: InboxItem[]; readonly gaps: Gap[] } {
    const released: InboxItem[] = [];
    const gaps: Gap[] = [];
    const isDue = ({ waitsSince = now, item }: Early): boolean => waitsSince + item.queueing.gapTimeoutMs <= now;
    for (let upTo = isFull ? 0 : this.early.findLastIndex(isDue); upTo >= 0; upTo = this.early.findLastIndex(isDue)) {
      const first = this.early[0] as Early;
      gaps.push({ expected: this.next, item: first.item });
      this.next = first.number;
      released.push(...this.ready());
    }
    return { released, gaps };
  }

  /** These were decided without being released. */
  forget(isDecided: (seq: number) => boolean): void {
    const decided = this.early.filter(({ item }) => isDecided(item.seq));
    if (decided.length === 0) return;
    for (const { number } of decided) this.passed.add(number);
    this.early = this.early.filter(({ item }) => !isDecided(item.seq));
  }

  /** The numbers before them may never come: the count goes on behind the first that was too many. */
  private forgetPassed(): void {
    const sorted = [...this.passed].toSorted((a, b) => a - b);
    if (this.early.length === 0) this.next = Math.max(this.next ?? 0, (sorted.at(-1) ?? 0) + 1);
    for (const number of sorted) if (this.early.length === 0 || number < (this.next ?? 0)) this.passed.delete(number);
  }

  private ready(): InboxItem[] {
    const released: InboxItem[] = [];
    if (this.passed.size > MAX_PASSED) this.forgetPassed();
    for (;;) {
      if (this.next !== null && this.passed.delete(this.next)) {
        this.next++;
        continue;
      }
      const [first] = this.early;
      if (first === undefined || this.next === null || first.number > this.next) return released;
      this.early.shift();
      if (first.number < this.next) {
        released.push(markedLate(first.item));
        continue;
      }
      released.push(first.item);
      this.next++;
    }
  }
}

export function markedLate(item: InboxItem): InboxItem {
  return { ...item, isLate: true };
}
