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
  private queue = new TinyQueue<Waiting<Owner>>([], byAge);

  /** How many of who waits have left. */
  private gone = 0;

  /** `stillWaits`: whether somebody who asked has not left since. */
  constructor(
    private readonly capacity: number,
    private readonly stillWaits: (owner: Owner) => boolean = () => true,
  ) {}

  get running(): number {
    return this.used;
  }
  get waiting(): number {
    return this.queue.length;
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

  /** Somebody waits no more. Its place goes when half of the places are such: while no slot is freed they would only grow. */
  leave(): void {
    this.gone++;
    if (this.gone * 2 <= this.queue.length) return;
    this.gone = 0;
    this.queue = new TinyQueue(
      this.queue.data.filter(({ owner }) => this.stillWaits(owner)),
      byAge,
    );
  }

  release(): void {
    this.used--;
    // Who gets a slot may give it back at once; a call in a call for each would end in a full stack.
    if (this.isGranting) return;
    this.isGranting = true;
    while (this.used < this.capacity) {
      const next = this.queue.pop();
      if (next === undefined) {
        this.gone = 0;
        break;
      }
      if (!this.stillWaits(next.owner)) continue;
      this.used++;
      next.start(next.owner);
    }
    this.isGranting = false;
  }
}

function byAge(one: Pick<Waiting<unknown>, 'ageKey'>, other: Pick<Waiting<unknown>, 'ageKey'>): number {
  return one.ageKey - other.ageKey;
}
