import { type Head, isDecided, MAX_DONE_RANGES, MAX_RECORD_MESSAGES } from '#contracts';
import { BacklogTail } from './backlog-tail.js';
import type { BodyBudget } from './body-budget.js';
import type { InboxItem } from './inbox-item.js';
import type { Gap } from './reorder-buffer.js';
import { WaitingLine } from './waiting-line.js';

/** One lane does not keep more than that, however small its share of the budget is. */
const MAX_LANE_BYTES = 1024 * 1024;
/** What a lane reads again at a time: taken in at once, more would keep the other lanes waiting (L5). */
const READ_BYTES = 256 * 1024;
/** The same when the budget is spent: its turn must come all the same. */
const LOW_READ_BYTES = 64 * 1024;

const NO_ITEMS: readonly InboxItem[] = [];
const NO_SEQS: readonly number[] = [];

/**
 * What was read of a session and is in no turn: messages that wait (`line`), what no turn can take (`undeliverable`: it is no
 * message, or does not get its task), and orders to the lane, ascending by sequence. Nothing that the head has decided is
 * among them.
 *
 * Messages are kept as a whole up to `laneBuffer` and to the budget of the process. Of what comes behind, only the
 * sequences are kept (`tail`), whatever it is. Orders are always kept, since they act when they come, and so is what little
 * is left of a message that does not get its task: its sender hears at once.
 */
export class Backlog {
  private readonly line = new WaitingLine();
  /** Only where more came than is kept. */
  private tail: BacklogTail | undefined;
  private undeliverableItems: InboxItem[] | undefined;
  private cancelOrderItems: InboxItem[] | undefined;
  private bytes = 0;
  private isClosed = false;

  constructor(
    private readonly budget: BodyBudget,
    private readonly laneBuffer: number,
    /** The highest sequence that was read, decided or not. */
    public lastSeq = 0,
  ) {}

  /** Nothing has to be known of it to take the next message. */
  get isSpent(): boolean {
    return this.isEmpty && !this.line.hasNumbers && !this.isClosed;
  }

  /** Nothing is here but the numbers of messages. */
  get isParkable(): boolean {
    const isLineEmpty = this.line.oldestSeq === undefined && !this.line.hasNumbers;
    return isLineEmpty && this.undeliverable.length === 0 && this.cancelOrders.length === 0 && !this.isClosed;
  }

  /** These were here before, and nothing else. */
  unpark(seqs: number[]): void {
    this.madeTail.seqs = seqs;
  }

  /** What `unpark` takes: of a backlog that is given up. */
  get parked(): number[] {
    return this.madeTail.seqs;
  }

  /** In the order in which they may be handled. */
  get waiting(): readonly InboxItem[] {
    return this.line.waiting;
  }
  /** What no turn can take. */
  get undeliverable(): readonly InboxItem[] {
    return this.undeliverableItems ?? NO_ITEMS;
  }
  get cancelOrders(): readonly InboxItem[] {
    return this.cancelOrderItems ?? NO_ITEMS;
  }
  /** Numbered messages that came before their time, ascending by number: they do not wait yet. */
  get early(): readonly InboxItem[] {
    return this.line.early;
  }
  /** Sequences above all that wait here as a whole. */
  get beyond(): readonly number[] {
    return this.tail?.seqs ?? NO_SEQS;
  }
  /** Of `beyond`, what was read again for an order that means it. */
  get peeked(): readonly InboxItem[] {
    return this.tail?.peeked ?? NO_ITEMS;
  }

  /** False when the item is known or decided. */
  arrive(item: InboxItem, head: Head): boolean {
    if (item.seq <= this.lastSeq) return false;
    this.lastSeq = item.seq;
    if (isDecided(head, item.seq)) return false;
    const isKept = isOrder(item) || item.refusal !== undefined || this.mustReject(item);
    if (!isKept && (this.beyond.length > 0 || this.isFull || this.budget.isSpent)) {
      this.madeTail.push(item.seq);
      return true;
    }
    this.add(item);
    this.countBytes(this.bytes + item.bytes);
    return true;
  }

  /** The head is known: `next` is the number that is due. */
  startNumbers(next: number | null, wentOn?: Head['wentOn']): void {
    this.line.startNumbers(next, wentOn);
  }

  /** A record says which number is due. */
  adoptNumbers(next: number | null, wentOn?: Head['wentOn']): void {
    this.line.adoptNumbers(next, wentOn);
  }

  /** A turn of these has begun before. */
  releaseNow(seqs: readonly number[]): void {
    this.line.releaseNow(seqs);
  }

  /** The wait of every early message has begun by now, by the clock of `giveUpGaps`. */
  startGapClock(now: number): void {
    this.line.startGapClock(now);
  }

  /** When the first wait of an early message is over, by the same clock. One that has not begun counts from `now`. */
  gapEndsAt(now: number): number | undefined {
    return this.line.gapEndsAt(now);
  }

  /** Goes on without the numbers that early messages have waited for long enough, or that there is no room to wait for. */
  giveUpGaps(now: number): readonly Gap[] {
    return this.line.giveUpGaps(now, this.isFullOfEarly, this.lastSeq);
  }

  /** Up to which number it went on without some, and how far the inbox was read then. */
  get wentOn(): Head['wentOn'] {
    return this.line.wentOn;
  }

  /** There is no room to wait for a number any longer. */
  get isFullOfEarly(): boolean {
    return this.line.earlyCount >= this.laneBuffer;
  }

  /** The number that is due for the next reader of what is left after `decided`; `inWork` is what was taken out for turns. */
  nextNumberAfter(decided: readonly number[], inWork: () => readonly InboxItem[], head: Head): number | null {
    return this.line.nextNumberAfter(() => {
      const gone = new Set(decided);
      return [...this.waiting, ...this.undeliverable, ...inWork()].filter(
        ({ seq }) => !gone.has(seq) && !isDecided(head, seq),
      );
    }, head.nextSequence);
  }

  /** How many messages wait. Those that are about to be refused do not. */
  get depth(): number {
    const refused = this.undeliverable.length === 0 ? 0 : this.refused.length;
    return this.waiting.length + this.line.earlyCount + this.undeliverable.length - refused + this.beyond.length;
  }

  get isEmpty(): boolean {
    return this.oldestSeq === undefined;
  }

  /** Those that do not get their task. */
  get refused(): readonly InboxItem[] {
    return this.undeliverable.filter(({ refusal }) => refusal !== undefined);
  }

  /** The lowest sequence of what is here. */
  get oldestSeq(): number | undefined {
    let oldest = this.line.oldestSeq ?? Number.POSITIVE_INFINITY;
    for (const seq of [this.undeliverable[0]?.seq, this.cancelOrders[0]?.seq, this.beyond[0]]) {
      if (seq !== undefined && seq < oldest) oldest = seq;
    }
    return oldest === Number.POSITIVE_INFINITY ? undefined : oldest;
  }

  /**
   * The sequences that have to be read again before a turn begins that needs everything up to `upTo` (0: as much as one turn
   * sees); none when enough is here.
   */
  toRead(upTo: number): readonly number[] {
    return this.tail?.toRead(upTo, this.waiting.length * 2 < this.laneBuffer ? this.laneBuffer : 0) ?? NO_SEQS;
  }

  get bytesPerRead(): number {
    return this.budget.isSpent ? LOW_READ_BYTES : READ_BYTES;
  }

  /** What was read again: all that there still is of the first sequences of `beyond`, up to `readTo`. */
  refill(items: readonly InboxItem[], readTo: number): void {
    if (this.isClosed) return;
    for (const item of items) this.add(item);
    this.tail?.readTo(readTo);
    this.recount();
  }

  /** What was read again of `seqs` for an order, up to `readTo`. They stay where they are; what is gone is forgotten. */
  peek(seqs: readonly number[], items: readonly InboxItem[], readTo: number): void {
    if (this.isClosed) return;
    this.tail?.peek(seqs, items, readTo);
    this.recount();
  }

  /** What was read again for a look is not needed any more. */
  unpeek(): void {
    this.tail?.forgetPeeked();
    this.recount();
  }

  /**
   * Gives the bodies back; nothing is read again, and nothing comes back. The sequences stay: a turn that still runs when
   * its session is given away has to know what lies beside it, or its record would pass over it.
   */
  close(): void {
    this.isClosed = true;
    this.line.unsee(this.undeliverable);
    this.madeTail.putBack([...this.line.clear(), ...this.undeliverable, ...this.cancelOrders]);
    this.madeTail.forgetPeeked();
    this.undeliverableItems = undefined;
    this.cancelOrderItems = undefined;
    this.countBytes(0);
  }

  /** What waits is to be refused: from here on no turn takes it. */
  makeUndeliverable(item: InboxItem): void {
    if (this.isClosed) return;
    this.line.remove(item.seq);
    this.tail?.remove(item.seq);
    this.add(item);
    this.recount();
  }

  /** Items that no turn can take; a note has to reject them. No more of them than one record holds. */
  toReject(head: Head, oldestUndecided: number | undefined): readonly InboxItem[] {
    if (this.undeliverable.length === 0) return this.undeliverable;
    if (head.done.length < MAX_DONE_RANGES) return this.undeliverable.slice(0, MAX_RECORD_MESSAGES);
    // Each would be one more hole: only what moves `upto` instead may be decided now.
    const [first] = this.undeliverable;
    return first !== undefined && first.seq === oldestUndecided ? [first] : [];
  }

  take(items: readonly InboxItem[]): void {
    this.line.take(items);
    this.recount();
  }

  putBack(items: readonly InboxItem[]): void {
    if (items.length === 0) return;
    if (this.isClosed) {
      this.line.unsee(items);
      this.madeTail.putBack(items);
      return;
    }
    this.line.putBack(items);
    this.recount();
  }

  dropDecided(head: Head): void {
    const isPending = (item: InboxItem): boolean => !isDecided(head, item.seq);
    this.line.dropDecided(head);
    this.undeliverableItems = this.undeliverableItems?.filter(isPending);
    this.cancelOrderItems = this.cancelOrderItems?.filter(isPending);
    this.tail?.dropDecided(head);
    this.recount();
  }

  /** Those of these sequences that wait here, in the order in which they are asked for. */
  itemsOf(seqs: readonly number[]): InboxItem[] {
    return this.line.itemsOf(seqs);
  }

  /** Every sequence up to `upTo` that is not decided, ascending; `batch` is what was taken out for turns. */
  undecided(batch: readonly InboxItem[], head: Head, upTo = Number.POSITIVE_INFINITY): number[] {
    const { hasNumbers } = this.line;
    const ordered = hasNumbers ? [...this.waiting, ...this.early] : [];
    const others = [...this.undeliverable, ...this.cancelOrders, ...ordered, ...batch]
      .map(({ seq }) => seq)
      .filter((seq) => seq <= upTo && !isDecided(head, seq))
      .toSorted((a, b) => a - b);
    const merged: number[] = [];
    let next = 0;
    const add = (seq: number): void => {
      while (next < others.length && (others[next] as number) < seq) merged.push(others[next++] as number);
      merged.push(seq);
    };
    for (const { seq } of hasNumbers ? [] : this.waiting) {
      if (seq > upTo) break;
      add(seq);
    }
    for (const seq of this.beyond) {
      if (seq > upTo) break;
      add(seq);
    }
    return [...merged, ...others.slice(next)];
  }

  /** Where nothing is kept, what is no message would wait with the others, and no agent could ever take it. */
  private mustReject({ content }: InboxItem): boolean {
    return this.laneBuffer === 0 && !content.ok && this.undeliverable.length < MAX_RECORD_MESSAGES;
  }

  /** One more is kept as a whole. */
  get hasRoom(): boolean {
    return !this.isFull && !this.budget.isSpent;
  }

  private get isFull(): boolean {
    return (
      this.waiting.length + this.line.earlyCount + this.undeliverable.length >= this.laneBuffer ||
      this.bytes >= MAX_LANE_BYTES
    );
  }

  private get madeTail(): BacklogTail {
    return (this.tail ??= new BacklogTail());
  }

  private recount(): void {
    let bytes = 0;
    for (const list of [this.waiting, this.early, this.undeliverable, this.cancelOrders, this.peeked]) {
      for (const item of list) bytes += item.bytes;
    }
    this.countBytes(bytes);
  }

  private countBytes(bytes: number): void {
    this.budget.change(bytes - this.bytes);
    this.bytes = bytes;
  }

  private add(item: InboxItem): void {
    if (isOrder(item)) {
      (this.cancelOrderItems ??= []).push(item);
      return;
    }
    if (item.content.ok && item.refusal === undefined) {
      this.line.add(item);
      return;
    }
    const at = this.undeliverable.findIndex(({ seq }) => seq > item.seq);
    (this.undeliverableItems ??= []).splice(at === -1 ? this.undeliverable.length : at, 0, item);
    if (item.refusal !== undefined) this.line.pass(item);
  }
}

function isOrder({ content, refusal }: InboxItem): boolean {
  return content.ok && refusal === undefined && content.message.kind === 'control';
}
