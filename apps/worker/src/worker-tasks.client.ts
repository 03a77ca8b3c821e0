import { randomUUID } from 'node:crypto';
import type { Settings } from '#config';
import { systemClock, type Names } from '#contracts';
import { FailureReports, GuardClient, KvTaskStore, TaskLookup } from '#guards';
import { KeyBucket, type BrokerConnection, type PublishChannel, type StreamReader } from '#jetstream';
import type { Logger } from '#telemetry';
import { GuardedRuns } from './tasks/guarded-runs.js';
import { HoldingsElsewhere } from './tasks/holdings-elsewhere.js';
import { RunTasks } from './tasks/run-tasks.js';

export interface WorkerTasksOptions {
  readonly connection: BrokerConnection;
  readonly channel: PublishChannel;
  readonly reader: StreamReader;
  readonly names: Names;
  readonly settings: Settings;
  readonly incarnation: string;
  readonly log: Logger;
}

/** The worker's access to the guard: requests over the broker, and direct reads of the task bucket. */
export function makeWorkerTasks(options: WorkerTasksOptions): {
  readonly guarded: GuardedRuns;
  readonly tasks: RunTasks;
} {
  const { connection, channel, reader, names, settings, incarnation, log } = options;
  const client = new GuardClient(connection, names);
  const bucket = new KeyBucket(connection, channel, reader, names.tasksBucket, log);
  const reports = new KeyBucket(connection, channel, reader, names.taskFailuresBucket, log);
  const failures = new FailureReports(reports, names, settings.guard.keepFailedMs);
  const tasks = new RunTasks({
    client,
    failures,
    clock: systemClock,
    newRequestId: randomUUID,
    guard: settings.guard,
    log,
  });
  const lookup = new TaskLookup(new KvTaskStore(bucket, names), systemClock);
  const withinMs = settings.guard.answerWithinMs;
  const elsewhere = new HoldingsElsewhere({ client, failures, clock: systemClock, withinMs, worker: incarnation, log });
  return { tasks, guarded: new GuardedRuns({ tasks, elsewhere, lookup, settings, log }) };
}
