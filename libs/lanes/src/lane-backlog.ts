import type { ControlMessage, Head } from '#contracts';
import { isDecided, MAX_DONE_RANGES } from './head.js';
import type { BodyBudget } from './body-budget.js';
import type { InboxItem } from './inbox-item.js';
import { ReleaseOrder } from './release-order.js';
import { numberOf, type Gap } from './reorder-buffer.js';

/**
 * A record decides at most this many messages. Their ids alone may have 768 bytes each: without a bound, the backlog of an
 * outage would make a batch whose record, even that of its failure, is too large to be written.
 */
export const MAX_RECORD_MESSAGES = 500;

/** One lane does not keep more than that, however small its share of the budget is. */
const MAX_LANE_BYTES = 1024 * 1024;
/** What a lane reads again at a time: taken in at once, more would keep the other lanes waiting (L5). */
const READ_BYTES = 256 * 1024;
/** The same when the budget is spent: its turn must come all the same. */
const LOW_READ_BYTES = 64 * 1024;

/**
 * What was read of a session and is in no turn: messages that wait, in the order in which they may be handled; what no turn
 * can take (`barred`: it is no message, or does not get its task), and orders to the lane, ascending by sequence. Nothing that
 * the head has decided is among them. Numbered messages that came before their time (`early`) do not wait yet.
 *
 * Messages are kept as a whole up to `laneBuffer` and to the budget of the process. Of what comes behind, only the
 * sequences are kept (`beyond`), whatever it is: its lane reads it again when its turn comes. Orders are always kept, since
 * they act when they come, and so is what little is left of a message that does not get its task: its sender hears at once.
 */
export class LaneBacklog {
  waiting: InboxItem[] = [];
  barred: InboxItem[] = [];
  controls: InboxItem[] = [];
  /** Sequences above all that wait here as a whole. */
  beyond: number[] = [];
  /** Of `beyond`, what was read again for an order that means it. */
  peeked: InboxItem[] = [];
  /** The highest sequence that was read, decided or not. */
  lastSeq = 0;
  private bytes = 0;
  private isClosed = false;
  /** Until the head is known, nobody knows which number is due. */
  private nextNumber: number | null | undefined;
  /** Only where numbered messages came. */
  private order: ReleaseOrder | undefined;

  constructor(
    private readonly budget: BodyBudget,
    private readonly laneBuffer: number,
  ) {}

  /** False when the item is known or decided. */
  arrive(item: InboxItem, head: Head): boolean {
    if (item.seq <= this.lastSeq) return false;
    this.lastSeq = item.seq;
    if (isDecided(head, item.seq)) return false;
    const list = this.listFor(item);
    const isKept = list === this.controls || item.refusal !== undefined;
    if (!isKept && (this.beyond.length > 0 || this.isFull || this.budget.isSpent)) {
      this.beyond.push(item.seq);
      return true;
    }
    this.add(item);
    this.countBytes(this.bytes + item.bytes);
    return true;
  }

  /** The head is known: `next` is the number that is due. */
  begin(next: number | null): void {
    this.nextNumber = next;
    if (!this.waiting.some((item) => numberOf(item) !== undefined)) return;
    const all = this.waiting;
    this.waiting = [];
    for (const item of all) this.add(item);
  }

  /** Numbered messages that came before their time, ascending by number. */
  get early(): readonly InboxItem[] {
    return this.order?.early ?? [];
  }

  /** A record says which number is due. */
  follow(next: number | null): void {
    this.nextNumber = next;
    if (this.order === undefined) return;
    // While another process had the session it went on without them, and nobody here could know.
    if (next !== null) this.waiting = this.order.markLate(this.waiting, next);
    this.waiting.push(...this.order.raise(next));
  }

  /** A turn of these has begun before, so their numbers were due: they wait no more, and what is below them is late. */
  begun(seqs: readonly number[]): void {
    const { order } = this;
    if (order === undefined) return;
    const known = new Map([...this.waiting, ...this.early].map((item) => [item.seq, item]));
    // As long as some of them are on their way, nobody knows which number was the first.
    if (seqs.some((seq) => !known.has(seq))) return;
    this.waiting = order.begun(
      this.waiting,
      seqs.flatMap((seq) => known.get(seq) ?? []),
    );
  }

  /** When the wait of an early message is over, by the clock of `giveUpGaps`. */
  gapEndsAt(now: number): number | undefined {
    return this.order?.endsAt(now);
  }

  /** Goes on without the numbers that early messages have waited for long enough, or that there is no room to wait for. */
  giveUpGaps(now: number): readonly Gap[] {
    if (this.order === undefined) return [];
    const { released, gaps } = this.order.giveUp(now, this.isFullOfEarly);
    this.waiting.push(...released);
    return gaps;
  }

  /** There is no room to wait for a number any longer. */
  get isFullOfEarly(): boolean {
    return this.earlyCount >= this.laneBuffer;
  }

  /** The number that is due for whoever reads what is left after `decided`; `inWork` is what was taken out for turns. */
  nextNumberAfter(decided: readonly number[], inWork: () => readonly InboxItem[], head: Head): number | null {
    if (this.order === undefined) return head.nextSequence;
    const gone = new Set(decided);
    return this.order.nextAfter(
      [...this.waiting, ...this.barred, ...inWork()].filter(({ seq }) => !gone.has(seq) && !isDecided(head, seq)),
    );
  }

  /** How many messages wait. Those that are about to be refused do not. */
  get depth(): number {
    const refused = this.barred.length === 0 ? 0 : this.refused.length;
    return this.waiting.length + this.earlyCount + this.barred.length - refused + this.beyond.length;
  }

  get isEmpty(): boolean {
    return this.oldestSeq === undefined;
  }

  /** Those that do not get their task. */
  get refused(): readonly InboxItem[] {
    return this.barred.filter(({ refusal }) => refusal !== undefined);
  }

  /** The lowest sequence of what is here. */
  get oldestSeq(): number | undefined {
    let oldest = this.waiting[0]?.seq ?? Number.POSITIVE_INFINITY;
    if (this.order !== undefined)
      for (const { seq } of [...this.waiting, ...this.early]) oldest = Math.min(oldest, seq);
    for (const seq of [this.barred[0]?.seq, this.controls[0]?.seq, this.beyond[0]]) {
      if (seq !== undefined && seq < oldest) oldest = seq;
    }
    return oldest === Number.POSITIVE_INFINITY ? undefined : oldest;
  }

  /**
   * The sequences that have to be read again before a turn begins that needs everything up to `upTo` (0: as much as one turn
   * sees); none when enough is here.
   */
  toRead(upTo: number): readonly number[] {
    const [first] = this.beyond;
    if (first === undefined) return [];
    if (upTo >= first) return this.beyond.filter((seq) => seq <= upTo);
    return this.waiting.length * 2 < this.laneBuffer ? this.beyond.slice(0, this.laneBuffer) : [];
  }

  get bytesPerRead(): number {
    return this.budget.isSpent ? LOW_READ_BYTES : READ_BYTES;
  }

  /** What was read again: all that there still is of the first sequences of `beyond`, up to `readTo`. */
  refill(items: readonly InboxItem[], readTo: number): void {
    if (this.isClosed) return;
    for (const item of items) this.add(item);
    this.beyond = this.beyond.filter((seq) => seq > readTo);
    this.peeked = this.peeked.filter(({ seq }) => seq > readTo);
    this.recount();
  }

  /** What was read again of `seqs` for an order, up to `readTo`. They stay where they are; what is gone is forgotten. */
  peek(seqs: readonly number[], items: readonly InboxItem[], readTo: number): void {
    if (this.isClosed) return;
    const found = new Set(items.map(({ seq }) => seq));
    const gone = new Set(seqs.filter((seq) => seq <= readTo && !found.has(seq)));
    if (gone.size > 0) this.beyond = this.beyond.filter((seq) => !gone.has(seq));
    const beyond = new Set(this.beyond);
    // Beside what an earlier part brought: an order to a whole run needs all of it at once.
    const all = new Map([...this.peeked, ...items].map((item) => [item.seq, item]));
    this.peeked = [...all.values()].filter(({ seq }) => beyond.has(seq));
    this.recount();
  }

  /**
   * Gives the bodies back; nothing is read again, and nothing comes back. The sequences stay: a turn that still runs when
   * its session is given away has to know what lies beside it, or its record would pass over it.
   */
  close(): void {
    this.isClosed = true;
    this.order?.unsee([...this.waiting, ...this.barred]);
    const whole = [...this.waiting, ...this.early, ...this.barred, ...this.controls].map(({ seq }) => seq);
    this.beyond = [...whole, ...this.beyond].toSorted((a, b) => a - b);
    this.waiting = [];
    this.order?.forget(() => true);
    this.barred = [];
    this.controls = [];
    this.peeked = [];
    this.countBytes(0);
  }

  /** What waits is to be refused: from here on no turn takes it. */
  bar(item: InboxItem): void {
    if (this.isClosed) return;
    const isOther = ({ seq }: InboxItem): boolean => seq !== item.seq;
    this.waiting = this.waiting.filter(isOther);
    this.order?.forget((seq) => seq === item.seq);
    this.beyond = this.beyond.filter((seq) => seq !== item.seq);
    this.peeked = this.peeked.filter(isOther);
    this.add(item);
    this.recount();
  }

  /** Items that no turn can take; a note has to reject them. No more of them than one record holds. */
  toReject(head: Head, oldestUndecided: number | undefined): readonly InboxItem[] {
    if (this.barred.length === 0) return this.barred;
    if (head.done.length < MAX_DONE_RANGES) return this.barred.slice(0, MAX_RECORD_MESSAGES);
    // Each would be one more hole: only what moves `upto` instead may be decided now.
    const [first] = this.barred;
    return first !== undefined && first.seq === oldestUndecided ? [first] : [];
  }

  take(items: readonly InboxItem[]): void {
    if (items.length === this.waiting.length) {
      this.waiting = [];
    } else {
      const taken = new Set(items);
      this.waiting = this.waiting.filter((item) => !taken.has(item));
    }
    this.recount();
  }

  putBack(items: readonly InboxItem[]): void {
    if (items.length === 0) return;
    if (this.isClosed) {
      this.order?.unsee(items);
      this.beyond = [...items.map(({ seq }) => seq), ...this.beyond].toSorted((a, b) => a - b);
      return;
    }
    this.waiting = [...items, ...this.waiting].toSorted(this.order?.compare ?? bySequence);
    if (typeof this.nextNumber === 'number')
      this.waiting = this.order?.markLate(this.waiting, this.nextNumber) ?? this.waiting;
    this.recount();
  }

  dropDecided(head: Head): void {
    const isPending = (item: InboxItem): boolean => !isDecided(head, item.seq);
    if (this.waiting.length > 0) this.waiting = this.waiting.filter(isPending);
    this.order?.forget((seq) => isDecided(head, seq));
    if (this.barred.length > 0) this.barred = this.barred.filter(isPending);
    if (this.controls.length > 0) this.controls = this.controls.filter(isPending);
    const [first] = this.beyond;
    // Rarely, and then it is a long list: most records decide what lies before it.
    if (first !== undefined && Math.max(head.upto, head.done.at(-1)?.[1] ?? 0) >= first) {
      this.beyond = this.beyond.filter((seq) => !isDecided(head, seq));
      this.peeked = this.peeked.filter(isPending);
    }
    this.recount();
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

  /** Every sequence up to `upTo` that is not decided, ascending; `batch` is what was taken out for turns. */
  undecided(batch: readonly InboxItem[], head: Head, upTo = Number.POSITIVE_INFINITY): number[] {
    const ordered = this.order === undefined ? [] : [...this.waiting, ...this.early];
    const others = [...this.barred, ...this.controls, ...ordered, ...batch]
      .map(({ seq }) => seq)
      .filter((seq) => seq <= upTo && !isDecided(head, seq))
      .toSorted((a, b) => a - b);
    const merged: number[] = [];
    let next = 0;
    const add = (seq: number): void => {
      while (next < others.length && (others[next] as number) < seq) merged.push(others[next++] as number);
      merged.push(seq);
    };
    for (const { seq } of this.order === undefined ? this.waiting : []) {
      if (seq > upTo) break;
      add(seq);
    }
    for (const seq of this.beyond) {
      if (seq > upTo) break;
      add(seq);
    }
    return [...merged, ...others.slice(next)];
  }

  /** One more is kept as a whole. */
  get hasRoom(): boolean {
    return !this.isFull && !this.budget.isSpent;
  }

  private get isFull(): boolean {
    return (
      this.waiting.length + this.earlyCount + this.barred.length >= this.laneBuffer || this.bytes >= MAX_LANE_BYTES
    );
  }

  private recount(): void {
    let bytes = 0;
    for (const list of [this.waiting, this.early, this.barred, this.controls, this.peeked]) {
      for (const item of list) bytes += item.bytes;
    }
    this.countBytes(bytes);
  }

  private countBytes(bytes: number): void {
    this.budget.change(bytes - this.bytes);
    this.bytes = bytes;
  }

  private add(item: InboxItem): void {
    const list = this.listFor(item);
    if (list === this.barred) {
      const at = list.findIndex(({ seq }) => seq > item.seq);
      list.splice(at === -1 ? list.length : at, 0, item);
      if (item.refusal !== undefined) this.pass(item);
      return;
    }
    const isNumbered = this.nextNumber !== undefined && list === this.waiting && numberOf(item) !== undefined;
    if (isNumbered) this.order ??= new ReleaseOrder(this.nextNumber ?? null, this.waiting.at(-1)?.seq ?? 0);
    if (list === this.waiting && this.order !== undefined) list.push(...this.order.admit(item));
    else list.push(item);
  }

  /** Nobody is to wait for the number of what gets no turn. */
  private pass(item: InboxItem): void {
    if (numberOf(item) === undefined || this.nextNumber === undefined) return;
    this.order ??= new ReleaseOrder(this.nextNumber, this.waiting.at(-1)?.seq ?? 0);
    this.waiting.push(...this.order.pass(item));
  }

  private get earlyCount(): number {
    return this.order?.earlyCount ?? 0;
  }

  private listFor({ content, refusal }: InboxItem): InboxItem[] {
    if (!content.ok || refusal !== undefined) return this.barred;
    return content.message.kind === 'control' ? this.controls : this.waiting;
  }
}

function bySequence(one: InboxItem, other: InboxItem): number {
  return one.seq - other.seq;
}

/** The order that an item of `controls` carries. */
export function orderOf({ content }: InboxItem): ControlMessage {
  if (content.ok && content.message.kind === 'control') return content.message;
  throw new Error('no control message');
}
