import type { Clock } from '#contracts';

interface Timer {
  readonly at: number;
  readonly fn: () => void;
}

/** Runs everything that waits only for promises. No time passes. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Time that passes only when a spec says so. Its two clocks always differ, so code that confuses them fails. Timers use
 * the monotonic clock.
 */
export class ManualClock implements Clock {
  private wallMs = 1_000;
  private monotonicMs = 5_000;
  private timers: Timer[] = [];

  now(): number {
    return this.wallMs;
  }

  monotonic(): number {
    return this.monotonicMs;
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { at: this.monotonicMs + delayMs, fn };
    this.timers.push(timer);
    return () => void (this.timers = this.timers.filter((other) => other !== timer));
  }

  /** Number of pending timers. */
  get waiting(): number {
    return this.timers.length;
  }

  async advance(ms: number): Promise<void> {
    const until = this.monotonicMs + ms;
    while (await this.fireNext(until));
    this.pass(until - this.monotonicMs);
  }

  /** Fires timers until none is left. */
  async runOut(): Promise<void> {
    while (await this.fireNext(Number.POSITIVE_INFINITY));
  }

  /** The wall clock is set. */
  setWall(byMs: number): void {
    this.wallMs += byMs;
  }

  /** The machine sleeps: the monotonic clock stands still and no timer fires. */
  sleep(ms: number): void {
    this.wallMs += ms;
  }

  /** The process is stopped: both clocks run on, and no timer fires until time passes again. */
  standStill(ms: number): void {
    this.pass(ms);
  }

  private async fireNext(until: number): Promise<boolean> {
    await settled();
    const due = this.timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)[0];
    if (due === undefined) return false;
    this.timers = this.timers.filter((other) => other !== due);
    this.pass(Math.max(0, due.at - this.monotonicMs));
    due.fn();
    return true;
  }

  private pass(ms: number): void {
    this.monotonicMs += ms;
    this.wallMs += ms;
  }
}
