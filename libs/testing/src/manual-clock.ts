import type { Clock } from '#contracts';

interface Timer {
  readonly at: number;
  readonly fn: () => void;
}

/** Lets everything run that waits for nothing but promises. No time passes. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Time that passes only when a spec says so. Its two clocks never show the same, so that code which takes one for the
 * other is found out; timers go by the monotonic one.
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

  /** How many timers wait. */
  get waiting(): number {
    return this.timers.length;
  }

  async advance(ms: number): Promise<void> {
    const until = this.monotonicMs + ms;
    while (await this.fireNext(until));
    this.pass(until - this.monotonicMs);
  }

  /** Goes on until nothing waits for time any more. */
  async runOut(): Promise<void> {
    while (await this.fireNext(Number.POSITIVE_INFINITY));
  }

  /** Somebody sets the wall clock. */
  setWall(byMs: number): void {
    this.wallMs += byMs;
  }

  /** The machine sleeps: the monotonic clock stands still, and no timer fires. */
  sleep(ms: number): void {
    this.wallMs += ms;
  }

  /** The process is stopped: both clocks go on, and no timer fires before time passes again. */
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
