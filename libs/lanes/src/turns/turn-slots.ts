import TinyQueue from 'tinyqueue';
import type { SlotPlace } from '../lane/lane-view.js';

class Waiting<Owner> implements SlotPlace {
  hasLeft = false;

  constructor(
    readonly ageKey: number,
    readonly owner: Owner,
    readonly start: (owner: Owner) => void,
  ) {}
}

/**
 * The worker's capacity: how many turns run at once. Lanes that are ready wait here, the one with the oldest message
 * first (L5). Nothing running is preempted.
 */
export class TurnSlots<Owner = void> {
  private used = 0;
  private isGranting = false;
  private queue = new TinyQueue<Waiting<Owner>>([], byAge);

  /** How many of those in the queue have left. */
  private gone = 0;

  constructor(private readonly capacity: number) {}

  get running(): number {
    return this.used;
  }
  get waiting(): number {
    return this.queue.length;
  }

  /**
   * Calls `start` now, or when a slot is free: then the answer is its place until that. `ageKey` grows with time: the inbox
   * sequence of the oldest message.
   */
  acquire(ageKey: number, start: (owner: Owner) => void, owner: Owner): SlotPlace | undefined {
    if (this.used < this.capacity) {
      this.used++;
      start(owner);
      return undefined;
    }
    const place = new Waiting(ageKey, owner, start);
    this.queue.push(place);
    return place;
  }

  /**
   * The owner of the place waits no more; coming again it stands where its age is then. The place goes when half of all are
   * such: while no slot is freed they would only grow.
   */
  leave(place: SlotPlace): void {
    place.hasLeft = true;
    this.gone++;
    if (this.gone * 2 <= this.queue.length) return;
    this.gone = 0;
    this.queue = new TinyQueue(
      this.queue.data.filter(({ hasLeft }) => !hasLeft),
      byAge,
    );
  }

  release(): void {
    this.used--;
    // A lane may give its slot back at once; a call in a call for each would end in a full stack.
    if (this.isGranting) return;
    this.isGranting = true;
    try {
      this.grant();
    } finally {
      // Only a bug throws. Left behind, it would keep all others from a slot for ever (L6).
      this.isGranting = false;
    }
  }

  private grant(): void {
    while (this.used < this.capacity) {
      const next = this.queue.pop();
      if (next === undefined) return;
      if (next.hasLeft) {
        this.gone--;
        continue;
      }
      this.used++;
      next.start(next.owner);
    }
  }
}

function byAge(one: Pick<Waiting<unknown>, 'ageKey'>, other: Pick<Waiting<unknown>, 'ageKey'>): number {
  return one.ageKey - other.ageKey;
}
