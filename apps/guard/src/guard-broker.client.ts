import type { Settings } from '#config';
import { systemClock, type Names } from '#contracts';
import { KvTaskStore, TaskDirectory, TaskGuard, TaskIndex, TaskWatch } from '#guards';
import type { BrokerPulse } from '#http';
import {
  applyTopology,
  BrokerAwayError,
  BrokerConnection,
  ConfirmedReader,
  declareTopology,
  KeyBucket,
  PublishChannel,
  StreamReader,
} from '#jetstream';
import type { Logger } from '#telemetry';
import { TaskEvents } from './task-events.publisher.js';

export interface GuardBrokerOptions {
  readonly settings: Settings;
  readonly natsUrl: string;
  readonly names: Names;
  readonly log: Logger;
  readonly signal?: AbortSignal;
}

export interface GuardBroker {
  readonly connection: BrokerConnection;
  readonly guard: TaskGuard;
  readonly directory: TaskDirectory;
  readonly index: TaskIndex;
  readonly pulse: BrokerPulse;
  close(): Promise<void>;
}

/** The guard's side of the broker: one connection, the streams as declared, and what is built on them. */
export async function openGuardBroker({
  settings,
  natsUrl,
  names,
  log,
  signal,
}: GuardBrokerOptions): Promise<GuardBroker> {
  const connection = await BrokerConnection.open({
    url: natsUrl,
    name: 'lanekeeper guard',
    log,
    ...(signal === undefined ? {} : { signal }),
  });
  const { replicas } = settings.nats;
  try {
    const topology = declareTopology(names, { replicas, dedupWindowMs: settings.dedup.windowMs });
    await applyTopology(connection, topology, log, signal);
  } catch (error) {
    await connection.close();
    throw error;
  }
  const channel = new PublishChannel(connection);
  const reader = new StreamReader(connection);
  const bucket = new KeyBucket(connection, channel, reader, names.tasksBucket, log);
  const events = new TaskEvents(connection, names, log);
  const guard = new TaskGuard({
    store: new KvTaskStore(unlessAway(connection, bucket), names),
    clock: systemClock,
    keepMs: settings.guard.keepMs,
    defaults: { ttlMs: settings.guard.ttlMs, stale: settings.guard.stale },
    onEvent: (event) => events.tell(event),
  });
  const index = new TaskIndex();
  const { sweepMs } = settings.guard;
  const watch = new TaskWatch({
    ...{ connection, names, index, guard, sweepMs, log },
    clock: systemClock,
    random: Math.random,
  });
  watch.start();
  return {
    ...{ connection, guard, index },
    directory: new TaskDirectory(replicas > 1 ? new ConfirmedReader(reader) : reader, names),
    pulse: {
      get isUp() {
        return connection.isUp;
      },
      roundTrip: () => connection.nc.rtt(),
    },
    close: async () => {
      await watch.stop();
      channel.close();
      await connection.close();
    },
  };
}

type TaskBucket = Pick<KeyBucket, 'read' | 'write'>;

/** A read would lie in the send buffer until the broker is back; callers who have an answer at once can go elsewhere. */
function unlessAway(connection: Pick<BrokerConnection, 'isUp'>, bucket: TaskBucket): TaskBucket {
  return {
    read: async (key) => {
      if (!connection.isUp) throw new BrokerAwayError();
      return bucket.read(key);
    },
    write: (...call) => bucket.write(...call),
  };
}
