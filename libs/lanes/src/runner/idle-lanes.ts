import type { Clock } from '#contracts';
import type { Lane } from '../lane/lane.js';

/** Beyond one of these a lane with nothing to do is forgotten; its head is read again when a message comes. */
export interface IdleLimits {
  readonly idleLanes: number;
  /** Of their heads, with the sessions' states. */
  readonly idleBytes: number;
  readonly idleMs: number;
}

/**
 * Lanes that have nothing to do, the longest idle first. What sessions there once were must not fill the memory. The lanes
 * themselves are the list: every turn takes one out and puts it back.
 */
export class IdleLanes {
  private first: Lane | undefined;
  private last: Lane | undefined;
  private size = 0;
  private bytes = 0;

  constructor(
    private readonly limits: IdleLimits,
    private readonly clock: Clock,
    private readonly evict: (lane: Lane) => void,
  ) {}

  get count(): number {
    return this.size;
  }

  add(lane: Lane): void {
    this.delete(lane);
    lane.idleSince = this.clock.monotonic();
    lane.idlePrevious = this.last;
    if (this.last === undefined) this.first = lane;
    else this.last.idleNext = lane;
    this.last = lane;
    this.size++;
    this.bytes += lane.headBytes;
    const { idleLanes, idleBytes } = this.limits;
    while (this.size > idleLanes || this.bytes > idleBytes) this.evictFirst();
  }

  delete(lane: Lane): void {
    if (lane.idleSince === undefined) return;
    const { idlePrevious: previous, idleNext: next } = lane;
    if (previous === undefined) this.first = next;
    else previous.idleNext = next;
    if (next === undefined) this.last = previous;
    else next.idlePrevious = previous;
    lane.idlePrevious = lane.idleNext = lane.idleSince = undefined;
    this.size--;
    this.bytes -= lane.headBytes;
  }

  /** To be called now and then: forgets what has been idle for long. */
  sweep(): void {
    const before = this.clock.monotonic() - this.limits.idleMs;
    while (this.first?.idleSince !== undefined && this.first.idleSince <= before) this.evictFirst();
  }

  private evictFirst(): void {
    const { first } = this;
    if (first === undefined) return;
    this.delete(first);
    this.evict(first);
  }
}
