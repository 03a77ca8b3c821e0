import { type Head, isDecided } from '#contracts';
import type { InboxItem } from './inbox-item.js';

/**
 * The end of a lane's backlog, of which only the sequences are kept, ascending, whatever it is: 8 bytes for each, however long
 * an outage was. Its lane reads it again when its turn comes, from the front; what an order means is looked at before
 * (`peeked`), and stays where it is.
 */
export class BacklogTail {
  seqs: number[] = [];
  /** Of `seqs`, what was read again for an order that means it. */
  peeked: InboxItem[] = [];

  push(seq: number): void {
    this.seqs.push(seq);
  }

  /** The first of it up to `upTo`, or, when that lies before all of it, as many as there is `room` for. */
  toRead(upTo: number, room: number): readonly number[] {
    const [first] = this.seqs;
    if (first === undefined) return [];
    return upTo >= first ? this.seqs.filter((seq) => seq <= upTo) : this.seqs.slice(0, room);
  }

  /** Up to here it was read again, and is kept as a whole, or gone. */
  readTo(readTo: number): void {
    this.seqs = this.seqs.filter((seq) => seq > readTo);
    this.peeked = this.peeked.filter(({ seq }) => seq > readTo);
  }

  /** What was read again of `seqs` for an order, up to `readTo`. They stay where they are; what is gone is forgotten. */
  peek(seqs: readonly number[], items: readonly InboxItem[], readTo: number): void {
    const found = new Set(items.map(({ seq }) => seq));
    const gone = new Set(seqs.filter((seq) => seq <= readTo && !found.has(seq)));
    if (gone.size > 0) this.seqs = this.seqs.filter((seq) => !gone.has(seq));
    const here = new Set(this.seqs);
    // Beside what an earlier part brought: an order to a whole run needs all of it at once.
    const all = new Map([...this.peeked, ...items].map((item) => [item.seq, item]));
    this.peeked = [...all.values()].filter(({ seq }) => here.has(seq));
  }

  /** These are kept as sequences too from here on. */
  putBack(items: readonly InboxItem[]): void {
    this.seqs = [...items.map(({ seq }) => seq), ...this.seqs].toSorted((a, b) => a - b);
  }

  remove(seq: number): void {
    this.seqs = this.seqs.filter((other) => other !== seq);
    this.peeked = this.peeked.filter((item) => item.seq !== seq);
  }

  dropDecided(head: Head): void {
    const [first] = this.seqs;
    // Rarely, and then it is a long list: most records decide what lies before it.
    if (first === undefined || Math.max(head.upto, head.done.at(-1)?.[1] ?? 0) < first) return;
    this.seqs = this.seqs.filter((seq) => !isDecided(head, seq));
    this.peeked = this.peeked.filter(({ seq }) => !isDecided(head, seq));
  }

  forgetPeeked(): void {
    this.peeked = [];
  }
}
