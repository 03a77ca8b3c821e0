/**
 * How long a lane could have begun with what waits, in ms: the time in which a message of it may expire. It stands still
 * while a turn runs or waits for its next attempt, while the lane waits at a cap, and while it is not ours; a new owner
 * begins at zero, so an outage expires nothing.
 */
export class WaitingClock {
  private totalMs = 0;
  private running: { readonly since: number; readonly until: number } | undefined;
  /** When each was first asked for, by this clock. Most lanes never ask. */
  private knownAt: WeakMap<object, number> | undefined;

  /**
   * Lets it run until then, or stand still. It stops by itself: a process that comes too late to its lane, since it was
   * stopped or waits for the broker, must not count that time. Both in ms of a clock that never goes back.
   */
  set(until: number | undefined, now: number): void {
    if (until === undefined && this.running === undefined) return;
    this.totalMs = this.elapsedMs(now);
    this.running = until === undefined ? undefined : { since: now, until };
  }

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  elapsedMs(now: number): number {
    if (this.running === undefined) return this.totalMs;
    return this.totalMs + Math.max(0, Math.min(now, this.running.until) - this.running.since);
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
