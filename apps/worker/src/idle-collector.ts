import type { Clock } from '#contracts';

/** Shows whether the worker did anything since the last look. */
export interface WorkerActivity {
  /** Turns that run or wait for a slot. */
  readonly busy: number;
  /** Changes whenever a message was read. */
  readonly read: number;
  /** Sessions in memory. */
  readonly lanes: number;
}

export interface IdleCollectorOptions {
  readonly activity: () => WorkerActivity;
  readonly collect: () => void;
  readonly clock: Pick<Clock, 'monotonic'>;
}

const QUIET_MS = 20_000;

/**
 * Returns memory to the system after a busy time. V8 collects garbage only while it allocates, so an idle worker would
 * keep the garbage of its last turns. A full collection blocks the process for about 50 ms, so it runs once per quiet
 * time, after a while without activity.
 */
export class IdleCollector {
  private last: WorkerActivity = { busy: 0, read: 0, lanes: 0 };
  private quietSince: number;
  private isDone = true;

  constructor(private readonly options: IdleCollectorOptions) {
    this.quietSince = options.clock.monotonic();
  }

  /** Call it every few seconds. */
  look(): void {
    const { activity, collect, clock } = this.options;
    const { last } = this;
    const now = activity();
    this.last = now;
    if (now.busy > 0 || now.read !== last.read || now.lanes !== last.lanes) {
      this.quietSince = clock.monotonic();
      this.isDone = false;
      return;
    }
    if (this.isDone || clock.monotonic() - this.quietSince < QUIET_MS) return;
    this.isDone = true;
    collect();
  }
}
