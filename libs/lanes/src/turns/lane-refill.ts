import type { InboxPart, InboxSource } from '../ports.js';
import type { Lane } from '../lane/lane.js';

/** Reads messages of a lane again whose bodies it did not keep. One reading per lane at a time. */
export class LaneRefill {
  private readonly reading = new Map<Lane, Promise<void>>();

  constructor(private readonly inbox: InboxSource) {}

  isReading(lane: Lane): boolean {
    return this.reading.has(lane);
  }

  /**
   * Resolves when the lane has some more of these messages, as far as there are any; a caller that needs more asks again.
   * When the process stops, so does the lane.
   */
  read(lane: Lane, seqs: readonly number[]): Promise<void> {
    return this.readPart(lane, seqs, (part) => {
      // A record may have decided some of them in the meantime; then they are in `beyond` no more.
      const wanted = new Set(lane.backlog.beyond);
      const found = part.messages.filter(({ seq }) => wanted.has(seq));
      lane.backlog.refill(
        found.map((raw) => lane.readItem(raw)),
        part.readTo,
      );
    });
  }

  /** The same for an order that means these messages, wherever in the backlog they are. */
  peek(lane: Lane, seqs: readonly number[]): Promise<void> {
    return this.readPart(lane, seqs, ({ messages, readTo }) => {
      const items = messages.map((raw) => lane.readItem(raw));
      lane.backlog.peek(seqs, items, readTo);
    });
  }

  /**
   * While another one is under way, that one is waited for: a caller that asks again at once would spin, and nothing else
   * would run.
   */
  private readPart(lane: Lane, seqs: readonly number[], take: (part: InboxPart) => void): Promise<void> {
    if (seqs.length === 0) return Promise.resolve();
    const underWay = this.reading.get(lane);
    if (underWay !== undefined) return underWay;
    const reading = this.inbox
      .read(lane.key, seqs, lane.backlog.bytesPerRead)
      .then((part) => {
        if (part === undefined) lane.isStopped = true;
        else take(part);
      })
      .finally(() => this.reading.delete(lane));
    this.reading.set(lane, reading);
    return reading;
  }
}
