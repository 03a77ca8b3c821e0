import type { Settings } from '#config';
import { systemClock, type Names } from '#contracts';
import { FailureReports, KvTaskStore, TaskDirectory, TaskGuard, TaskIndex, TaskWatch } from '#guards';
import {
  BrokerAwayError,
  ConfirmedReader,
  KeyBucket,
  PublishChannel,
  StreamReader,
  type BrokerConnection,
} from '#jetstream';
import { connectToInstallation } from '#settings-store';
import type { Logger } from '#telemetry';
import { TaskEvents } from './task-events.publisher.js';

export interface GuardBrokerOptions {
  readonly settings: Settings;
  readonly natsUrl: string;
  readonly names: Names;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

export interface GuardBroker {
  readonly connection: BrokerConnection;
  readonly guard: TaskGuard;
  readonly directory: TaskDirectory;
  readonly index: TaskIndex;
  close(): Promise<void>;
}

/** The guard's side of the broker: one connection, the streams as declared, and what is built on them. */
export async function openGuardBroker(options: GuardBrokerOptions): Promise<GuardBroker> {
  const { natsUrl, names, log } = options;
  const { connection, installation } = await connectToInstallation({
    ...{ ...options, role: 'guard' },
    ...{ url: natsUrl, name: 'lanekeeper guard' },
  });
  const { settings } = installation;
  const channel = new PublishChannel(connection);
  const reader = new StreamReader(connection);
  const bucket = new KeyBucket(connection, channel, reader, names.tasksBucket, log);
  const events = new TaskEvents(connection, names, log);
  const failures = new KeyBucket(connection, channel, reader, names.taskFailuresBucket, log);
  const { keepMs, keepFailedMs, sweepMs } = settings.guard;
  const guard = new TaskGuard({
    store: new KvTaskStore(unlessAway(connection, bucket), names),
    failures: new FailureReports(unlessAway(connection, failures), names, keepFailedMs),
    clock: systemClock,
    ...{ keepMs, keepFailedMs },
    defaults: { ttlMs: settings.guard.ttlMs, stale: settings.guard.stale },
    onEvent: (event) => events.tell(event),
  });
  const index = new TaskIndex();
  const watch = new TaskWatch({
    ...{ connection, names, index, guard, sweepMs, log },
    clock: systemClock,
    random: Math.random,
  });
  watch.start();
  return {
    ...{ connection, guard, index },
    directory: new TaskDirectory(settings.nats.replicas > 1 ? new ConfirmedReader(reader) : reader, names),
    close: async () => {
      await watch.stop();
      installation.close();
      channel.close();
      await connection.close();
    },
  };
}

type TaskBucket = Pick<KeyBucket, 'read' | 'write'>;

/** During an outage a read would wait in the send buffer; callers that get an answer at once can ask another replica. */
function unlessAway(connection: Pick<BrokerConnection, 'isUp'>, bucket: TaskBucket): TaskBucket {
  return {
    read: async (key) => {
      if (!connection.isUp) throw new BrokerAwayError();
      return bucket.read(key);
    },
    write: (...call) => bucket.write(...call),
  };
}
