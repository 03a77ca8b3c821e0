import type { Clock } from '#contracts';

/** Two readings of two clocks differ by less than this; what is more is a clock that was set, or a machine that slept. */
const JUMP_MS = 10;

/**
 * The time by which lanes wait: that of a clock that is never set, so that a wait ends when it should, whatever becomes of the
 * wall clock in between. A retry that waited by the wall clock would wait an hour more when that is set back by an hour.
 *
 * Times that come from elsewhere (when the broker stored a message, when another worker's retry is due) are those of some
 * wall clock. `wallAheadMs` translates them; it stays the same from one look at the clocks to the next.
 */
export class LaneTime {
  private aheadMs: number;

  constructor(private readonly clock: Pick<Clock, 'now' | 'monotonic'>) {
    this.aheadMs = clock.now() - clock.monotonic();
  }

  /** How far the wall clock is ahead of this one - ms. */
  get wallAheadMs(): number {
    return this.aheadMs;
  }

  /** Looks at the clocks. */
  read(): number {
    const now = this.clock.monotonic();
    const aheadMs = this.clock.now() - now;
    if (Math.abs(aheadMs - this.aheadMs) >= JUMP_MS) this.aheadMs = aheadMs;
    return now;
  }
}
