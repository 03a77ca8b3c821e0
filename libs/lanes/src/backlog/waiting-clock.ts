/**
 * How long a lane could have begun with what waits, in ms: the time in which a message of it may expire. It stands still
 * while a turn runs or waits for its next attempt, while the lane waits at a cap, and while it is not ours; a new owner
 * begins at zero, so an outage expires nothing.
 */
export class WaitingClock {
  private totalMs = 0;
  private running: { readonly since: number; readonly until: number } | undefined;
  /** How far the clock was when each message was noticed. Most lanes never notice one. */
  private noticedAtMs: WeakMap<object, number> | undefined;

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

  /** These wait from now on. Those that were noticed before keep their time. */
  notice(items: readonly object[], now: number): void {
    const elapsedMs = this.elapsedMs(now);
    this.noticedAtMs ??= new WeakMap();
    for (const item of items) if (!this.noticedAtMs.has(item)) this.noticedAtMs.set(item, elapsedMs);
  }

  /** How long the lane could have begun with this message since it was noticed - ms; 0 = it was not. */
  waitedMs(item: object, now: number): number {
    const elapsedMs = this.elapsedMs(now);
    return elapsedMs - (this.noticedAtMs?.get(item) ?? elapsedMs);
  }
}
