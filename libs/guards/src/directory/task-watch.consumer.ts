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
  /** In [0, 1): replicas that look at the same moment would all write, and all but one in vain. */
  readonly random: () => number;
  readonly log: Logger;
}

/**
 * Finds what time alone has changed (a holder that is gone, an approval that nobody gave) and has it written down, so that it
 * is seen, counted and told without anybody asking for the task. Every replica does; the first write wins.
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
        // The next sweep finds it again; one that cannot be written must not hold up those behind it.
        log.warn({ key, error: String(error) }, 'a task whose time is over could not be written down');
      }
    }
  }
}
