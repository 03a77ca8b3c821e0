import type { Clock } from '#contracts';

/** What tells whether a worker did something since the last look. */
export interface WorkerActivity {
  /** Turns that run or wait for a slot. */
  readonly busy: number;
  /** Another number when something was read. */
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
 * Gives memory back after a busy time. The engine collects only as it allocates: a worker that has nothing to do any more would
 * keep all the garbage of its last turns for as long as it idles. One full collection for each quiet time: it takes some 50 ms, in
 * which a message would wait, so it runs only when nothing has happened for a while.
 */
export class IdleCollector {
  private last: WorkerActivity = { busy: 0, read: 0, lanes: 0 };
  private quietSince: number;
  private isDone = true;

  constructor(private readonly options: IdleCollectorOptions) {
    this.quietSince = options.clock.monotonic();
  }

  /** To be called every few seconds. */
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
