import type { Clock } from '#contracts';
import type { Lane } from '../lane/lane.js';

/** Node fires at once what lies further ahead than 31 bits of ms. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/**
 * Wakes lanes at the time of a retry, the end of a window, or an expiry. At most one timer per lane, the latest wish counts.
 */
export class LaneTimers {
  private readonly cancels = new Map<Lane, () => void>();

  constructor(private readonly clock: Clock) {}

  /** `at` undefined or past: nothing to wait for. */
  set(lane: Lane, at: number | undefined, now: number, wake: () => void): void {
    // Asked at every step of every lane, and nearly always there is nothing to wait for.
    if (at === undefined && this.cancels.size === 0) return;
    this.cancels.get(lane)?.();
    this.cancels.delete(lane);
    if (at === undefined || at <= now) return;
    const cancel = this.clock.after(Math.min(Math.ceil(at - now), LONGEST_DELAY_MS), () => {
      this.cancels.delete(lane);
      wake();
    });
    this.cancels.set(lane, cancel);
  }

  cancel(lane: Lane): void {
    this.cancels.get(lane)?.();
    this.cancels.delete(lane);
  }
}
