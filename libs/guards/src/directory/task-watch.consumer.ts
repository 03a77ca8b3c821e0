import type { Clock, Names } from '#contracts';
import { bucketStream, ShardReader, type BrokerConnection } from '#jetstream';
import type { Logger } from '#telemetry';
import { readTaskMessage } from './task-message.js';
import type { TaskGuard } from '../tasks/task-guard.js';
import type { TaskIndex } from './task-index.js';

export interface TaskWatchOptions {
  readonly connection: BrokerConnection;
  readonly names: Names;
  readonly index: TaskIndex;
  readonly guard: Pick<TaskGuard, 'settleOverdue'>;
  readonly clock: Clock;
  /** How often it looks for holders that are gone - ms. */
  readonly sweepMs: number;
  /** In [0, 1): replicas that sweep at the same moment would all write, and all but one in vain. */
  readonly random: () => number;
  readonly log: Logger;
}

/**
 * Finds tasks whose state has changed by time alone (a holder is gone, an approval was not given in time) and records that, so
 * that it is visible, counted and reported without a request for the task. Every replica does this; the first write wins.
 */
export class TaskWatch {
  private readonly reader: ShardReader;
  private isStopped = false;
  private sweeping: Promise<void> = Promise.resolve();
  private cancelTimer = (): void => {};

  constructor(private readonly options: TaskWatchOptions) {
    const { connection, names, index, log } = options;
    const { stream, prefix } = bucketStream(names.tasksBucket);
    this.reader = new ShardReader(connection, {
      stream,
      filter: `${prefix}>`,
      fromSeq: 1,
      onMessage: (message) => {
        const task = readTaskMessage(prefix, message);
        if (task !== undefined) index.take(task.key, task.entry);
      },
      onCaughtUp: () => {},
      log,
    });
  }

  start(): void {
    this.reader.start();
    this.sweepLater();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.cancelTimer();
    await this.reader.stop();
    await this.sweeping;
  }

  private sweepLater(): void {
    if (this.isStopped) return;
    const { clock, sweepMs, random } = this.options;
    this.cancelTimer = clock.after(sweepMs * (0.75 + random() / 2), () => {
      this.sweeping = this.sweep().finally(() => this.sweepLater());
    });
  }

  private async sweep(): Promise<void> {
    const { connection, index, guard, clock, log } = this.options;
    index.forgetRemoved(clock.now());
    for (const key of index.overdue(clock.now())) {
      if (this.isStopped || !connection.isUp) return;
      try {
        await guard.settleOverdue(key);
      } catch (error) {
        // The next sweep finds it again; a task that cannot be recorded must not block the ones after it.
        log.warn({ key, error: String(error) }, 'the new state of a task whose time is over could not be recorded');
      }
    }
  }
}
