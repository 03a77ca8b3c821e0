import TinyQueue from 'tinyqueue';

interface Waiting<Owner> {
  readonly ageKey: number;
  readonly owner: Owner;
  readonly start: (owner: Owner) => void;
}

/**
 * The worker's capacity: how many turns run at once. Lanes that are ready wait here, the one with the oldest message
 * first (L5). Nothing running is preempted.
 */
export class TurnSlots<Owner = void> {
  private used = 0;
  private isGranting = false;
  private readonly queue = new TinyQueue<Waiting<Owner>>([], (a, b) => a.ageKey - b.ageKey);

  constructor(private readonly capacity: number) {}

  get running(): number {
    return this.used;
  }
  get waiting(): number {
    return this.queue.length;
  }

  /** Who waits, each as often as it does. */
  queued(): Owner[] {
    return this.queue.data.map(({ owner }) => owner);
  }

  /** Calls `start` now or when a slot is free. `ageKey` grows with time: the inbox sequence of the oldest message. */
  acquire(ageKey: number, start: (owner: Owner) => void, owner: Owner): void {
    if (this.used < this.capacity) {
      this.used++;
      start(owner);
      return;
    }
    this.queue.push({ ageKey, owner, start });
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
      next.start(next.owner);
    }
    this.isGranting = false;
  }
}
