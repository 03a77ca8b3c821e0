/**
 * How long a lane could have begun with what waits, in ms: the time in which a message of it may expire. It stands still
 * while a turn runs or waits for its next attempt, while the lane waits at a cap, and while it is not ours; a new owner
 * begins at zero, so an outage expires nothing.
 */
export class WaitingClock {
  private totalMs = 0;
  private runningSince: number | undefined;
  /** When each was first asked for, by this clock. Most lanes never ask. */
  private knownAt: WeakMap<object, number> | undefined;

  /** `now`: ms of a clock that never goes back. */
  set(isRunning: boolean, now: number): void {
    if (isRunning === (this.runningSince !== undefined)) return;
    if (this.runningSince === undefined) {
      this.runningSince = now;
    } else {
      this.totalMs += now - this.runningSince;
      this.runningSince = undefined;
    }
  }

  get isRunning(): boolean {
    return this.runningSince !== undefined;
  }

  elapsedMs(now: number): number {
    return this.totalMs + (this.runningSince === undefined ? 0 : now - this.runningSince);
  }

  /** How long the lane could have begun with this message since it is known here. */
  waitedMs(item: object, now: number): number {
    const elapsedMs = this.elapsedMs(now);
    this.knownAt ??= new WeakMap();
    const knownAt = this.knownAt.get(item) ?? elapsedMs;
    this.knownAt.set(item, knownAt);
    return elapsedMs - knownAt;
  }
}
