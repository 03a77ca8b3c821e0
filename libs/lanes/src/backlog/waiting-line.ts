import { type Head, isDecided, isConcurrent } from '#contracts';
import type { InboxItem } from './inbox-item.js';
import { ReleaseOrder } from './release-order.js';
import { markedLate, numberOf, type Gap } from './reorder-buffer.js';

const NO_ITEMS: readonly InboxItem[] = [];

/**
 * The messages of a lane that wait and are kept as a whole, in the order in which they may be handled: that of the inbox, or
 * of their numbers, where they have some. Numbered messages that came before their time (`early`) do not wait yet.
 *
 *   head not known --startNumbers--> in the order of the inbox --a number comes--> in an order of their own (`hasNumbers`), for good
 *
 * L2  `waiting` is in that order, whatever is taken, put back or decided.
 */
export class WaitingLine {
  waiting: InboxItem[] = [];
  /** Up to which number it went on without some, and how far the inbox was read then. */
  wentOn: Head['wentOn'];
  /** Which number is due; undefined = the head is not known yet. */
  private nextNumber: number | null | undefined;
  /** Only where numbered messages came. */
  private order: ReleaseOrder | undefined;

  /** Their order may be another one than that of the inbox. */
  get hasNumbers(): boolean {
    return this.order !== undefined;
  }

  /** Numbered messages that came before their time, ascending by number. */
  get early(): readonly InboxItem[] {
    return this.order?.early ?? NO_ITEMS;
  }

  get earlyCount(): number {
    return this.order?.earlyCount ?? 0;
  }

  get oldestSeq(): number | undefined {
    if (this.order === undefined) return this.waiting[0]?.seq;
    let oldest: number | undefined;
    for (const { seq } of [...this.waiting, ...this.early]) oldest = Math.min(oldest ?? seq, seq);
    return oldest;
  }

  add(read: InboxItem): void {
    const item = this.isLate(read) ? markedLate(read) : read;
    const isNumbered = this.nextNumber !== undefined && numberOf(item) !== undefined;
    if (isNumbered) this.order ??= new ReleaseOrder(this.nextNumber ?? null, this.waiting.at(-1)?.seq ?? 0);
    // Most lines have one message: an array that was grown has room for seventeen.
    if (this.order !== undefined) this.waiting.push(...this.order.admit(item));
    else if (this.waiting.length === 0) this.waiting = [item];
    else this.waiting.push(item);
  }

  /** It gets no turn: no message waits for its number. */
  pass(item: InboxItem): void {
    if (numberOf(item) === undefined || this.nextNumber === undefined) return;
    this.order ??= new ReleaseOrder(this.nextNumber, this.waiting.at(-1)?.seq ?? 0);
    this.waiting.push(...this.order.pass(item));
  }

  /** The head is known: `next` is the number that is due. */
  startNumbers(next: number | null, wentOn?: Head['wentOn']): void {
    this.nextNumber = next;
    this.adoptWentOn(wentOn);
    if (!this.waiting.some((item) => numberOf(item) !== undefined)) return;
    const all = this.waiting;
    this.waiting = [];
    for (const item of all) this.add(item);
  }

  /** A record says which number is due. */
  adoptNumbers(next: number | null, wentOn?: Head['wentOn']): void {
    this.nextNumber = next;
    this.adoptWentOn(wentOn);
    if (this.order === undefined) return;
    // While another process had the session it went on without them, and this process could not know.
    if (next !== null) this.waiting = this.order.markLate(this.waiting, next);
    this.waiting.push(...this.order.raise(next));
  }

  /**
   * A turn of these has begun before, so their numbers were due: they wait no more, and messages with lower numbers are late.
   */
  releaseNow(seqs: readonly number[]): void {
    if (this.order === undefined) return;
    const known = new Map([...this.waiting, ...this.early].map((item) => [item.seq, item]));
    const batch = seqs.flatMap((seq) => known.get(seq) ?? []);
    // As long as some of them are still to be read, the first number is not known.
    if (batch.length === seqs.length) this.waiting = this.order.releaseNow(this.waiting, batch);
  }

  /** The wait of every early message has begun by now, by the clock of `giveUpGaps`. */
  startGapClock(now: number): void {
    this.order?.startClock(now);
  }

  /** When the first wait of an early message is over, by the same clock. One that has not begun counts from `now`. */
  gapEndsAt(now: number): number | undefined {
    return this.order?.endsAt(now);
  }

  /** Goes on without the numbers that early messages have waited for long enough, or that there is no room to wait for. */
  giveUpGaps(now: number, isFull: boolean, readTo: number): readonly Gap[] {
    if (this.order === undefined) return [];
    const { released, gaps } = this.order.giveUp(now, isFull);
    this.waiting.push(...released);
    const last = gaps.at(-1);
    if (last !== undefined) this.wentOn = { to: numberOf(last.item) ?? 0, readTo };
    return gaps;
  }

  /**
   * The number that is due for the next reader of what is `undecided` of what was released; `known` while there are no
   * numbers.
   */
  nextNumberAfter(undecided: () => readonly InboxItem[], known: number | null): number | null {
    return this.order === undefined ? known : this.order.nextAfter(undecided());
  }

  /** Those of these sequences that wait here, in the order in which they are asked for. */
  itemsOf(seqs: readonly number[]): InboxItem[] {
    const wanted = new Set(seqs);
    if (this.order !== undefined) {
      // They may have come to other places since: a frozen batch keeps the order of its first call (L7).
      const found = new Map(this.waiting.flatMap((item) => (wanted.has(item.seq) ? [[item.seq, item]] : [])));
      return seqs.flatMap((seq) => found.get(seq) ?? []);
    }
    const last = Math.max(...wanted);
    const items: InboxItem[] = [];
    // `waiting` is ascending: behind the last that is wanted nothing of it follows, however long the backlog is.
    for (const item of this.waiting) {
      if (item.seq > last) break;
      if (wanted.has(item.seq)) items.push(item);
    }
    return items;
  }

  take(items: readonly InboxItem[]): void {
    if (items.length === this.waiting.length) {
      this.waiting = [];
    } else {
      const taken = new Set(items);
      this.waiting = this.waiting.filter((item) => !taken.has(item));
    }
  }

  putBack(items: readonly InboxItem[]): void {
    this.waiting = [...items, ...this.waiting].toSorted(this.order?.compare ?? bySequence);
    if (typeof this.nextNumber === 'number')
      this.waiting = this.order?.markLate(this.waiting, this.nextNumber) ?? this.waiting;
  }

  /** It gets no turn any more. */
  remove(seq: number): void {
    this.waiting = this.waiting.filter((item) => item.seq !== seq);
    this.order?.forget((early) => early === seq);
  }

  dropDecided(head: Head): void {
    if (this.waiting.length > 0) this.waiting = this.waiting.filter(({ seq }) => !isDecided(head, seq));
    this.order?.forget((seq) => isDecided(head, seq));
  }

  private adoptWentOn(wentOn: Head['wentOn']): void {
    if (wentOn !== undefined && wentOn.to > (this.wentOn?.to ?? 0)) this.wentOn = wentOn;
  }

  /** A former owner went on without it. By the numbers alone it could have waited in time, behind another route's. */
  private isLate(item: InboxItem): boolean {
    if (this.wentOn === undefined || item.seq <= this.wentOn.readTo) return false;
    const number = isConcurrent(item.queueing.strategy) ? undefined : numberOf(item);
    return number !== undefined && number < this.wentOn.to;
  }

  /** These were released and wait on, but this lane does not keep them any more. */
  unsee(items: readonly InboxItem[]): void {
    this.order?.unsee(items);
  }

  /** Empties the line; what was in it waits on at the next owner. */
  clear(): readonly InboxItem[] {
    const all = [...this.waiting, ...this.early];
    this.unsee(this.waiting);
    this.waiting = [];
    this.order?.forget(() => true);
    return all;
  }
}

function bySequence(one: InboxItem, other: InboxItem): number {
  return one.seq - other.seq;
}
