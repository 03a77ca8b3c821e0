import type { Clock } from '#contracts';
import type { Logger } from '#telemetry';
import type { HeardLoad, LoadSource } from './member-loads.client.js';
import type { WorkerLoad } from './pool-size.js';
import type { SlotEvents } from './pool-slot.js';
import type { WorkerProcess } from './worker-process.js';

/** For specs: workers that are no processes. */

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
