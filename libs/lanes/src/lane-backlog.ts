import type { ControlMessage, Head } from '#contracts';
import { isDecided, MAX_DONE_RANGES } from './head.js';
import type { InboxItem } from './inbox-item.js';

/**
 * A record decides at most this many messages. Their ids alone may have 768 bytes each: without a bound, the backlog of an
 * outage would make a batch whose record, even that of its failure, is too large to be written.
 */
export const MAX_RECORD_MESSAGES = 500;

/**
 * What was read of a session and is in no turn: messages that wait, what no turn can take, and orders to the lane. All
 * three are ascending by sequence, and nothing that the head has decided is among them.
 */
export class LaneBacklog {
  waiting: InboxItem[] = [];
  broken: InboxItem[] = [];
  controls: InboxItem[] = [];
  /** The highest sequence that was read, decided or not. */
  lastSeq = 0;

  /** False when the item is known or decided. */
  arrive(item: InboxItem, head: Head): boolean {
    if (item.seq <= this.lastSeq) return false;
    this.lastSeq = item.seq;
    if (isDecided(head, item.seq)) return false;
    this.listFor(item).push(item);
    return true;
  }

  get depth(): number {
    return this.waiting.length + this.broken.length;
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0 && this.broken.length === 0 && this.controls.length === 0;
  }

  /** The lowest sequence of what is here. */
  get oldestSeq(): number | undefined {
    const seqs = [this.waiting[0]?.seq, this.broken[0]?.seq, this.controls[0]?.seq].filter((seq) => seq !== undefined);
    return seqs.length === 0 ? undefined : Math.min(...seqs);
  }

  /** Items that no turn can take; a note has to reject them. No more of them than one record holds. */
  toReject(head: Head, oldestUndecided: number | undefined): readonly InboxItem[] {
    if (this.broken.length === 0) return this.broken;
    if (head.done.length < MAX_DONE_RANGES) return this.broken.slice(0, MAX_RECORD_MESSAGES);
    // Each would be one more hole: only what moves `upto` instead may be decided now.
    const [first] = this.broken;
    return first !== undefined && first.seq === oldestUndecided ? [first] : [];
  }

  take(items: readonly InboxItem[]): void {
    if (items.length === this.waiting.length) {
      this.waiting = [];
      return;
    }
    const taken = new Set(items);
    this.waiting = this.waiting.filter((item) => !taken.has(item));
  }

  putBack(items: readonly InboxItem[]): void {
    if (items.length > 0) this.waiting = [...items, ...this.waiting].toSorted((a, b) => a.seq - b.seq);
  }

  dropDecided(head: Head): void {
    const isPending = (item: InboxItem): boolean => !isDecided(head, item.seq);
    if (this.waiting.length > 0) this.waiting = this.waiting.filter(isPending);
    if (this.broken.length > 0) this.broken = this.broken.filter(isPending);
    if (this.controls.length > 0) this.controls = this.controls.filter(isPending);
  }

  /** Those of these sequences that wait here. */
  itemsOf(seqs: readonly number[]): InboxItem[] {
    const wanted = new Set(seqs);
    const last = Math.max(...wanted);
    const items: InboxItem[] = [];
    // `waiting` is ascending: behind the last that is wanted nothing of it follows, however long the backlog is.
    for (const item of this.waiting) {
      if (item.seq > last) break;
      if (wanted.has(item.seq)) items.push(item);
    }
    return items;
  }

  /** Every sequence that is not decided, ascending; `batch` is what was taken out for a turn. */
  undecided(batch: readonly InboxItem[], head: Head): number[] {
    const others = [...this.broken, ...this.controls, ...batch]
      .map(({ seq }) => seq)
      .filter((seq) => !isDecided(head, seq))
      .toSorted((a, b) => a - b);
    const merged: number[] = [];
    let next = 0;
    for (const { seq } of this.waiting) {
      while (next < others.length && (others[next] as number) < seq) merged.push(others[next++] as number);
      merged.push(seq);
    }
    return [...merged, ...others.slice(next)];
  }

  private listFor({ content }: InboxItem): InboxItem[] {
    if (!content.ok) return this.broken;
    return content.message.kind === 'control' ? this.controls : this.waiting;
  }
}

/** The order that an item of `controls` carries. */
export function orderOf({ content }: InboxItem): ControlMessage {
  if (content.ok && content.message.kind === 'control') return content.message;
  throw new Error('no control message');
}
