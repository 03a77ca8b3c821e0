import type { Clock } from '#contracts';
import type { LaneRunner } from '#lanes';
import type { Logger } from '#telemetry';
import type { BoundAgent } from './agent-runner.js';
import type { TurnIntake } from './turn.server.js';

/** The parts of a running worker, in the order of their work. */
export interface WorkerParts {
  readonly lanes: LaneRunner;
  /** Begins to read all shards. */
  openShards(): Promise<void>;
  closeShards(): Promise<void>;
  /** Begins to answer questions about sessions; the answer ends it. */
  answerQuestions(): () => void;
  /** Ends the tries of commits that are still on their way. */
  stopCommits(): void;
}

export interface LaneIntakeOptions {
  readonly drainMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly makeParts: (agents: ReadonlyMap<string, BoundAgent>) => Promise<WorkerParts>;
}

/**
 * Life of a worker: open, run, and the two phases of its stop. First nothing new begins; then what runs has the drain
 * budget to end and commit. What is still running then is aborted and recorded nowhere, so that it runs again.
 */
export class LaneIntake implements TurnIntake {
  private parts: WorkerParts | undefined;
  private stopAnswering = (): void => {};
  private stopping: Promise<void> | undefined;

  constructor(private readonly options: LaneIntakeOptions) {}

  async start(agents: ReadonlyMap<string, BoundAgent>): Promise<void> {
    this.parts = await this.options.makeParts(agents);
    await this.parts.openShards();
    this.stopAnswering = this.parts.answerQuestions();
  }

  stop(): Promise<void> {
    this.stopping ??= this.drain();
    return this.stopping;
  }

  private async drain(): Promise<void> {
    const { parts } = this;
    if (parts === undefined) return;
    const { clock, drainMs, log } = this.options;
    parts.lanes.stopStarting();
    // Reading ends and turns end side by side: both have the one budget.
    const allEnded = parts.closeShards().then(() => parts.lanes.whenIdle());
    let cancel = (): void => {};
    const budget = new Promise<'over'>((resolve) => {
      cancel = clock.after(drainMs, () => resolve('over'));
    });
    const ended = await Promise.race([allEnded, budget]);
    cancel();
    this.stopAnswering();
    if (ended === 'over') {
      log.warn(
        { running: parts.lanes.running, drainMs },
        'drain budget over: what still runs is aborted and runs again',
      );
      parts.lanes.abortAll();
    }
    parts.stopCommits();
  }
}
