import type { Clock } from '#contracts';
import type { Lane } from './lane.js';

/** Beyond one of these a lane with nothing to do is forgotten; its head is read again when a message comes. */
export interface IdleLimits {
  readonly idleLanes: number;
  /** Of their heads, with the sessions' states. */
  readonly idleBytes: number;
  readonly idleMs: number;
}

/** Lanes that have nothing to do, the longest idle first. What sessions there once were must not fill the memory. */
export class IdleLanes {
  private readonly since = new Map<Lane, number>();
  private bytes = 0;

  constructor(
    private readonly limits: IdleLimits,
    private readonly clock: Clock,
    private readonly evict: (lane: Lane) => void,
  ) {}

  get count(): number {
    return this.since.size;
  }

  add(lane: Lane): void {
    if (this.since.has(lane)) this.delete(lane);
    this.since.set(lane, this.clock.monotonic());
    this.bytes += lane.headBytes;
    const { idleLanes, idleBytes } = this.limits;
    while (this.since.size > idleLanes || this.bytes > idleBytes) this.evictFirst();
  }

  delete(lane: Lane): void {
    if (this.since.delete(lane)) this.bytes -= lane.headBytes;
  }

  /** To be called now and then: forgets what has been idle for long. */
  sweep(): void {
    const before = this.clock.monotonic() - this.limits.idleMs;
    for (const [, at] of this.since) {
      if (at > before) return;
      this.evictFirst();
    }
  }

  private evictFirst(): void {
    const [lane] = this.since.keys();
    if (lane === undefined) return;
    this.delete(lane);
    this.evict(lane);
  }
}
