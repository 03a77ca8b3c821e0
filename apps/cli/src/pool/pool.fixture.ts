import type { Clock } from '#contracts';
import type { Logger } from '#telemetry';
import type { HeardLoad, LoadSource } from './member-loads.client.js';
import type { WorkerLoad } from './pool-size.js';
import type { SlotEvents } from './pool-slot.js';
import type { WorkerProcess } from './worker-process.js';

/** For specs: time that passes by hand, and workers that are no processes. */

export class ManualClock implements Clock {
  private nowMs = 1_000;
  private timers: { readonly at: number; readonly fn: () => void }[] = [];

  now(): number {
    return this.nowMs;
  }

  monotonic(): number {
    return this.nowMs;
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { at: this.nowMs + delayMs, fn };
    this.timers.push(timer);
    return () => void (this.timers = this.timers.filter((other) => other !== timer));
  }

  async advance(ms: number): Promise<void> {
    const until = this.nowMs + ms;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const [due] = this.timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at);
      if (due === undefined) break;
      this.timers = this.timers.filter((other) => other !== due);
      this.nowMs = Math.max(this.nowMs, due.at);
      due.fn();
    }
    this.nowMs = until;
  }

  /** Time passes, and nobody is there to see it: the process was stopped. */
  standStill(ms: number): void {
    this.nowMs += ms;
  }
}

/** A worker that does what the spec says. */
export class ManualWorker implements WorkerProcess {
  readonly signals: string[] = [];
  readonly exited: Promise<string>;
  exit: (end: string) => void = () => {};

  constructor(readonly events: SlotEvents) {
    this.exited = new Promise((resolve) => (this.exit = resolve));
  }

  ready(): void {
    this.events.onReady();
  }

  terminate(): void {
    this.signals.push('SIGTERM');
  }

  kill(): void {
    this.signals.push('SIGKILL');
    this.exit('ended by SIGKILL');
  }
}

export class ManualLoads implements LoadSource {
  hearsSince: number | undefined = 0;
  private readonly loads = new Map<string, HeardLoad>();

  constructor(private readonly clock: Clock) {}

  of(id: string): HeardLoad | undefined {
    return this.loads.get(id);
  }

  tell(id: string, load: Partial<WorkerLoad> = {}): void {
    this.loads.set(id, { running: 0, waiting: 0, busy: 0, ...load, at: this.clock.monotonic() });
  }
}

/** Keeps what was said. */
export class ListLog implements Logger {
  constructor(readonly lines: { level: string; message: string; fields: object }[] = []) {}

  debug(fields: object, message: string): void {
    this.lines.push({ level: 'debug', message, fields });
  }
  info(fields: object, message: string): void {
    this.lines.push({ level: 'info', message, fields });
  }
  warn(fields: object, message: string): void {
    this.lines.push({ level: 'warn', message, fields });
  }
  error(fields: object, message: string): void {
    this.lines.push({ level: 'error', message, fields });
  }
  child(): Logger {
    return this;
  }
}
