import type { Clock } from '#contracts';
import type { LaneRunner } from '#lanes';
import type { Logger } from '#telemetry';
import type { BoundAgent } from './agents/agent-runner.js';
import type { TurnLifecycle } from './agents/turn.server.js';

/** The parts of a running worker. */
export interface WorkerParts {
  readonly lanes: LaneRunner;
  /** Joins the other workers; resolves when the shards that are free for us are ours. */
  join(): Promise<void>;
  /** Gives all shards away; what runs then is held. */
  giveShardsAway(): Promise<void>;
  /** Is no member any more. */
  leave(): Promise<void>;
  /** Ends the tries of commits that are still on their way. */
  stopCommits(): void;
}

export interface WorkerLifecycleOptions {
  readonly drainMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly makeParts: (agents: ReadonlyMap<string, BoundAgent>) => Promise<WorkerParts>;
}

/** How long the last words of an aborted turn may take: a broker that is away must not hold up the stop. */
const LAST_WORDS_MS = 2_000;

/**
 * Life of a worker: join, run, and the two phases of its stop. First its shards are given away, so that everything else
 * goes on elsewhere at once; what runs has the drain budget to end and commit here. What is still running then is
 * aborted and handed back, so that it runs again.
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
        'drain budget over: what still runs is aborted and runs again',
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
