import type { Clock } from '#contracts';
import type { BodyBudget } from '../backlog/body-budget.js';
import type { IdleLanes } from './idle-lanes.js';
import type { ShardLanes } from './shard-lanes.js';

/** How far a process reads its shards ahead of its turns. */
export interface ReadingLimits {
  /** Lanes with something undecided, over all shards, whatever they wait for. */
  readonly openLanes: number;
}

/**
 * So many lanes wait for each slot, over all shards: with the default capacity a tenth of a second of turns that take no
 * time.
 */
const WAITING_PER_SLOT = 4;
/** So many of each shard in any case: over all shards of a worker that is some 25 MB. */
const MIN_WAITING = 256;

/**
 * Says how far the shards are read ahead of their turns. What cannot begin yet costs memory here, and none at the broker.
 *
 *   reading --too many lanes wait--> paused --half of them have begun--> reading
 *
 * Lanes that wait for a slot are counted for each shard: what a shard has not read is younger than what it has, so the oldest
 * message of all is among those that wait (L5). While a slot is free no lane waits for one: this bound keeps nothing from its
 * turn. With them are counted those whose head is on its way, until the first answer: a head that cannot be read stops no
 * other lane (L6). Once the bodies have used up their budget the bound is the smallest one.
 *
 * All lanes with something undecided are counted over the process, also those in a window, in a backoff, or in handoff. That
 * is a cap of its own, far above; at it sessions do wait for others.
 */
export class ReadingRoom {
  constructor(
    private readonly capacity: number,
    private readonly limits: ReadingLimits,
    private readonly bodies: BodyBudget,
    private readonly shards: ReadonlyMap<number, ShardLanes>,
    private readonly idle: IdleLanes,
    private readonly clock: Clock,
  ) {}

  /** Lanes that wait for nothing but a slot. Those of a shard that is given away do not count. */
  get waiting(): number {
    let waiting = 0;
    for (const home of this.shards.values()) if (home.state === 'open') waiting += home.waiting;
    return waiting;
  }

  get lanes(): number {
    let lanes = 0;
    for (const { size } of this.shards.values()) lanes += size;
    return lanes;
  }

  /** Grows with every message that is read. */
  get read(): number {
    let read = 0;
    for (const { readTo } of this.shards.values()) read += readTo;
    return read;
  }

  /** Shards of which no more is read for now. */
  get paused(): number {
    let paused = 0;
    for (const { pausedSince } of this.shards.values()) if (pausedSince !== undefined) paused++;
    return paused;
  }

  /** Asks whether more of the shard may be read now. False: the shard is paused from now on. */
  ask(home: ShardLanes): boolean {
    if (home.waiting + home.loading < this.share && this.openLanes < this.limits.openLanes) {
      home.pausedSince = undefined;
      return true;
    }
    home.pausedSince ??= this.clock.monotonic();
    home.isBehind = true;
    return false;
  }

  /** One of its lanes waits for a slot. */
  entered(home: ShardLanes): void {
    home.waiting++;
  }

  /** One of its lanes waits for a slot no more. */
  left(home: ShardLanes): void {
    home.waiting--;
    this.look(home);
  }

  /** A lane of it is new, and waits for its head until the promise resolves. */
  loading(home: ShardLanes, until: Promise<void>): void {
    home.loading++;
    void until.then(() => {
      home.loading--;
      this.look(home);
    });
  }

  private look(home: ShardLanes): void {
    if (home.pausedSince !== undefined && home.waiting + home.loading <= this.share / 2) home.onRoom?.();
  }

  /** Lanes that wait for an agent that this process lacks do not count, as long as there are not too many of them. */
  private get openLanes(): number {
    let lanes = 0;
    let waiting = 0;
    for (const { size, waitingForAgent } of this.shards.values()) {
      lanes += size;
      waiting += waitingForAgent.size;
    }
    return lanes - this.idle.count - Math.min(waiting, this.limits.openLanes);
  }

  private get share(): number {
    if (this.bodies.isSpent) return MIN_WAITING;
    return Math.max(MIN_WAITING, Math.ceil((WAITING_PER_SLOT * this.capacity) / this.shards.size));
  }
}
