import TinyQueue from 'tinyqueue';

interface Waiting {
  readonly ageKey: number;
  readonly start: () => void;
}

/**
 * The worker's capacity: how many turns run at once. Lanes that are ready wait here, the one with the oldest message
 * first (L5). Nothing running is preempted.
 */
export class TurnSlots {
  private used = 0;
  private isGranting = false;
  private readonly queue = new TinyQueue<Waiting>([], (a, b) => a.ageKey - b.ageKey);

  constructor(private readonly capacity: number) {}

  get running(): number {
    return this.used;
  }
  get waiting(): number {
    return this.queue.length;
  }

  /** Calls `start` now or when a slot is free. `ageKey` grows with time: the inbox sequence of the oldest message. */
  acquire(ageKey: number, start: () => void): void {
    if (this.used < this.capacity) {
      this.used++;
      start();
      return;
    }
    this.queue.push({ ageKey, start });
  }

  release(): void {
    this.used--;
    // Who gets a slot may give it back at once; a call in a call for each would end in a full stack.
    if (this.isGranting) return;
    this.isGranting = true;
    while (this.used < this.capacity) {
      const next = this.queue.pop();
      if (next === undefined) break;
      this.used++;
      next.start();
    }
    this.isGranting = false;
  }
}
