import type { Clock } from '#contracts';
import type { Lane } from '../lane/lane.js';

/** How often lanes in doubt are looked at. */
const LOOK_EVERY_MS = 1_000;

/**
 * Lanes that have something to do while it is in doubt whether their shard is ours (L4). A note of a process that has lost its
 * shard would look to its successor like the end of a turn that still runs. They go on when the shard is certainly ours again.
 *
 * The end of a doubt is told (`resume`), and looked for as well: a wall clock that is set, and set right again before the next
 * renewal, begins a doubt and ends it without a word, and the lane would stand still until something else drives it.
 */
export class OwnershipDoubt {
  private readonly lanes = new Set<Lane>();
  private cancelLook: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly isOurs: (shard: number) => boolean,
    private readonly drive: (lane: Lane) => void,
  ) {}

  add(lane: Lane): void {
    this.lanes.add(lane);
    this.lookLater();
  }

  forget(lane: Lane): void {
    this.lanes.delete(lane);
    if (this.lanes.size > 0) return;
    this.cancelLook?.();
    this.cancelLook = undefined;
  }

  /** The shard is certainly ours (again): what waited for that goes on. */
  resume(shard: number): void {
    for (const lane of [...this.lanes]) {
      if (lane.home.shard !== shard) continue;
      this.lanes.delete(lane);
      this.drive(lane);
    }
  }

  private lookLater(): void {
    this.cancelLook ??= this.clock.after(LOOK_EVERY_MS, () => {
      this.cancelLook = undefined;
      const shards = new Set([...this.lanes].map(({ home }) => home.shard));
      for (const shard of shards) if (this.isOurs(shard)) this.resume(shard);
      if (this.lanes.size > 0) this.lookLater();
    });
  }
}
