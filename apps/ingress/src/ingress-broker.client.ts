import type { Settings } from '#config';
import { systemClock, type Names } from '#contracts';
import type { Need } from '#http';
import { ConfirmedReader, KeyBucket, PublishChannel, StreamReader, type BrokerConnection } from '#jetstream';
import { KvTaskStore, TaskDirectory, TaskLookup } from '#guards';
import { connectToInstallation, type Installation } from '#settings-store';
import { KeyLeaseStore } from '#shards';
import type { Logger } from '#telemetry';
import { DeadLetters } from './operators/dead-letters.client.js';
import { DeduplicatedInbox } from './inbox/deduplicated-inbox.client.js';
import { FloorWatch } from './inbox/floor-watch.client.js';
import { InboxPublisher } from './inbox/inbox.publisher.js';
import type { IntakeParts } from './send/intake.provider.js';
import { ReusedIds } from './inbox/reused-ids.client.js';
import { MessageNumbers } from './inbox/message-numbers.client.js';
import { NumberedInbox } from './inbox/numbered-inbox.client.js';
import { ResendSwallowedPublisher } from './inbox/resend-swallowed.publisher.js';
import { SessionHistory } from './sessions/session-history.client.js';
import { SessionQuestions } from './sessions/session-questions.client.js';
import { SessionTasks } from './sessions/session-tasks.js';
import { SwallowedEntries } from './inbox/swallowed-entries.client.js';
import { TurnWaiter } from './send/turn-waiter.client.js';
import { WorkerDirectory } from './operators/worker-directory.client.js';

export interface IngressBrokerOptions {
  readonly settings: Settings;
  readonly natsUrl: string;
  readonly names: Names;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

export interface IngressBroker {
  readonly connection: BrokerConnection;
  /** What this ingress acts on. */
  readonly installation: Installation;
  readonly parts: IntakeParts;
  readonly inbox: Need;
  readonly deadLetters: DeadLetters;
  readonly tasks: TaskLookup;
  readonly workers: WorkerDirectory;
  close(): Promise<void>;
}

/** The ingress's side of the broker: one connection, the streams as declared, and what is built on them. */
export async function openIngressBroker(options: IngressBrokerOptions): Promise<IngressBroker> {
  const { natsUrl, names, log } = options;
  const { connection, installation } = await connectToInstallation({
    ...{ ...options, role: 'ingress' },
    ...{ url: natsUrl, name: 'lanekeeper ingress' },
  });
  const { settings } = installation;
  const channel = new PublishChannel(connection);
  const reader = new StreamReader(connection);
  const lookup = settings.nats.replicas > 1 ? new ConfirmedReader(reader) : reader;
  const history = new SessionHistory(lookup, names);
  const bucket = (name: string): KeyBucket => new KeyBucket(connection, channel, reader, name, log);
  const leases = new KeyLeaseStore(connection, bucket(names.shardsBucket), names.shards);
  const gate = new FloorWatch({ connection, reader, lookup, leases, names, log });
  const publisher = new ResendSwallowedPublisher(
    new InboxPublisher(connection, channel, names, log, gate),
    new SwallowedEntries(lookup, leases, names),
  );
  const numbers = bucket(names.numbersBucket);
  const { windowMs } = settings.dedup;
  const reusedIds = new ReusedIds({ connection, bucket: numbers, names, windowMs, clock: systemClock, log });
  const tasks = new TaskLookup(new KvTaskStore(bucket(names.tasksBucket), names), systemClock);
  await Promise.all([gate.start(), reusedIds.start()]);
  return {
    ...{ connection, installation },
    parts: {
      names,
      agents: Object.keys(settings.agents),
      inbox: new NumberedInbox(
        new DeduplicatedInbox(publisher, lookup, history, names, reusedIds),
        new MessageNumbers(connection, numbers, names),
      ),
      history,
      questions: new SessionQuestions(connection, names),
      // Looks again until the record is there, so it may be behind: any replica will do, which spares the leader.
      waiter: new TurnWaiter(connection, names, new SessionHistory(reader, names)),
      tasks: new SessionTasks(new TaskDirectory(lookup, names), tasks),
    },
    inbox: gate,
    tasks,
    deadLetters: new DeadLetters(connection, lookup, publisher, history, names),
    workers: new WorkerDirectory(bucket(names.membersBucket), leases, names.shards, installation),
    close: async () => {
      gate.stop();
      reusedIds.stop();
      installation.close();
      channel.close();
      await connection.close();
    },
  };
}
