import { doublingWaitMs, type Clock } from '#contracts';
import type { Logger } from '#telemetry';
import type { WorkerProcess } from './worker-process.js';

/**
 * A place for one worker of the pool, always under the same id: a worker that comes in place of one that crashed takes over
 * at once what that one had.
 *
 *   empty    --start-->                             starting
 *   starting --is ready-->                          serving
 *   starting --not ready within START_WITHIN_MS-->  killed; to all others it ends by itself
 *   serving  --kill: it hangs-->                    killed; as above
 *   starting, serving --ends by itself-->           paused, 100 ms and after each further failure twice as long
 *   paused   --the pause is over-->                 starting
 *   paused   --retire-->                            empty
 *   starting, serving --retire-->                   leaving: SIGTERM; killed when it takes too long
 *   leaving  --ends-->                              empty
 */
type SlotState = 'empty' | 'starting' | 'serving' | 'paused' | 'leaving';

const PAUSE = { firstMs: 100, longestMs: 30_000 };
/** After a worker has served this long, the pauses start small again. */
const GOOD_LIFE_MS = 60_000;
/** What holds a start up longer is told: the broker is away, or waits for a repair, which the worker's own lines say. */
const START_TOLD_AFTER_MS = 30_000;
/** A busy machine needs far less. */
const START_WITHIN_MS = 120_000;

/** What a running worker tells its slot. */
export interface SlotEvents {
  readonly onReady: () => void;
}

export interface PoolSlotOptions {
  readonly spawn: (events: SlotEvents) => WorkerProcess;
  /** How long a retired worker may take: its drain, and its last words. */
  readonly leaveWithinMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onChange: () => void;
}

export class PoolSlot {
  private current: SlotState = 'empty';
  private changedAt = 0;
  /** Since when there should be a worker and none serves. */
  private missedSince = 0;
  private failures = 0;
  private process: WorkerProcess | undefined;
  private readonly timers = new Set<() => void>();

  constructor(private readonly options: PoolSlotOptions) {}

  get state(): SlotState {
    return this.current;
  }

  /** When it began to serve, or to leave; of one that comes, since when it is missed. */
  get since(): number {
    return this.current === 'starting' || this.current === 'paused' ? this.missedSince : this.changedAt;
  }

  start(): void {
    if (this.current !== 'empty') return;
    this.failures = 0;
    this.missedSince = this.options.clock.monotonic();
    this.launch();
  }

  /** The pool no longer needs its worker. */
  retire(): void {
    if (this.current === 'paused') this.enter('empty');
    if (this.current !== 'starting' && this.current !== 'serving') return;
    this.enter('leaving');
    this.process?.terminate();
    this.after(this.options.leaveWithinMs, () => {
      this.options.log.error({}, 'a worker did not end in time: it is killed, and what it ran is run again');
      this.process?.kill();
    });
  }

  /** Its worker no longer answers: it is replaced. */
  kill(): void {
    this.process?.kill();
  }

  private launch(): void {
    const { spawn, log, clock } = this.options;
    this.enter('starting');
    const worker = spawn({
      onReady: () => {
        if (this.process !== worker || this.current !== 'starting') return;
        log.info({ tookMs: Math.round(clock.monotonic() - this.changedAt) }, 'worker of the pool is ready');
        this.enter('serving');
      },
    });
    this.process = worker;
    this.after(START_TOLD_AFTER_MS, () => log.warn({}, 'worker of the pool is not ready yet; its own lines tell why'));
    this.after(START_WITHIN_MS, () => {
      log.error({ waitedMs: START_WITHIN_MS }, 'worker of the pool did not get ready: it is killed and started again');
      worker.kill();
    });
    void worker.exited.then((end) => this.ended(end));
  }

  private ended(end: string): void {
    const { log, clock } = this.options;
    const wasLeaving = this.current === 'leaving';
    const wasServing = this.current === 'serving';
    const livedMs = clock.monotonic() - this.changedAt;
    this.process = undefined;
    if (wasLeaving) {
      log.info({ end }, 'worker of the pool has left');
      return this.enter('empty');
    }
    if (wasServing) this.missedSince = clock.monotonic();
    if (wasServing && livedMs >= GOOD_LIFE_MS) this.failures = 0;
    const pauseMs = doublingWaitMs(PAUSE, this.failures++);
    const what = wasServing ? 'worker of the pool died' : 'worker of the pool ended before it was ready';
    log.error({ end, failures: this.failures, pauseMs }, `${what}; another one comes after a pause`);
    this.enter('paused');
    this.after(pauseMs, () => this.launch());
  }

  private enter(state: SlotState): void {
    for (const cancel of this.timers) cancel();
    this.timers.clear();
    this.current = state;
    this.changedAt = this.options.clock.monotonic();
    this.options.onChange();
  }

  /** Ends with the state. */
  private after(delayMs: number, fn: () => void): void {
    this.timers.add(this.options.clock.after(delayMs, fn));
  }
}
