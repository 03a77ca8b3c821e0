import type { Clock } from '#contracts';
import type { LaneRunner } from '#lanes';
import type { Logger } from '#telemetry';
import type { BoundAgent } from './agents/agent-runner.js';
import type { TurnLifecycle } from './agents/turn.server.js';

/** The parts of a running worker. */
export interface WorkerParts {
  readonly lanes: LaneRunner;
  /** Joins the other workers. Resolves when this worker owns its share of the free shards. */
  join(): Promise<void>;
  /** Gives all shards away. Sessions with running turns are in handoff then. */
  giveShardsAway(): Promise<void>;
  /** Ends the membership. */
  leave(): Promise<void>;
  /** Stops retrying commits that have no answer yet. */
  stopCommits(): void;
}

export interface WorkerLifecycleOptions {
  readonly drainMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly makeParts: (agents: ReadonlyMap<string, BoundAgent>) => Promise<WorkerParts>;
}

/** Bound for the last writes of aborted turns. A broker that is away must not delay the stop. */
const LAST_WORDS_MS = 2_000;

/**
 * Life of a worker: join, run, and a stop in two phases. First it gives its shards away, so that other workers continue
 * at once. Running turns may end and commit within the drain budget. Then turns that still run are aborted and handed
 * back, and run again at another worker.
 */
export class WorkerLifecycle implements TurnLifecycle {
  private parts: WorkerParts | undefined;
  private stopping: Promise<void> | undefined;

  constructor(private readonly options: WorkerLifecycleOptions) {}

  async start(agents: ReadonlyMap<string, BoundAgent>): Promise<void> {
    this.parts = await this.options.makeParts(agents);
    await this.parts.join();
  }

  stop(): Promise<void> {
    this.stopping ??= this.drain();
    return this.stopping;
  }

  private async drain(): Promise<void> {
    const { parts } = this;
    if (parts === undefined) return;
    const { drainMs, log } = this.options;
    const givenAway = parts.giveShardsAway();
    const allEnded = givenAway.then(() => parts.lanes.work.whenIdle());
    if (!(await this.endsWithin(allEnded, drainMs))) {
      log.warn(
        { running: parts.lanes.running, drainMs },
        'drain budget is over: running turns are aborted and run again at another worker',
      );
      await this.endsWithin(Promise.all([parts.lanes.work.handBackAll(), givenAway]), LAST_WORDS_MS);
    }
    await this.endsWithin(parts.leave(), LAST_WORDS_MS);
    parts.stopCommits();
  }

  private async endsWithin(work: Promise<unknown>, limitMs: number): Promise<boolean> {
    let cancel = (): void => {};
    const over = new Promise<false>((resolve) => {
      cancel = this.options.clock.after(limitMs, () => resolve(false));
    });
    const inTime = await Promise.race([work.then(() => true), over]);
    cancel();
    return inTime;
  }
}
