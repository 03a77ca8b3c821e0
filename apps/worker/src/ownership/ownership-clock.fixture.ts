import TinyQueue from 'tinyqueue';
import type { Clock } from '#contracts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fn: () => void;
  isCancelled: boolean;
}

/** Simulated time. Between two moments everything runs that waits only for promises. */
export class ModelClock implements Clock {
  private nowMs = 1;
  private order = 0;
  private readonly timers = new TinyQueue<Timer>([], (a, b) => a.at - b.at || a.order - b.order);

  now(): number {
    return this.nowMs;
  }
  monotonic(): number {
    return this.nowMs;
  }
  after(delayMs: number, fn: () => void): () => void {
    const timer = { at: this.nowMs + delayMs, order: this.order++, fn, isCancelled: false };
    this.timers.push(timer);
    return () => void (timer.isCancelled = true);
  }
  async runUntil(isDone: () => boolean, limitMs: number): Promise<void> {
    for (let next = this.timers.pop(); next !== undefined; next = this.timers.pop()) {
      if (next.isCancelled) continue;
      if (next.at > limitMs) return;
      this.nowMs = Math.max(this.nowMs, next.at);
      next.fn();
      await new Promise((resolve) => setImmediate(resolve));
      if (isDone()) return;
    }
  }
}
