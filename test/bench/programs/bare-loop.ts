import { DeliverPolicy } from '@nats-io/jetstream';
import { DEFAULT_SHARDS, HEADER, Names } from '#contracts';
import { BrokerConnection, PublishChannel } from '#jetstream';
import { silentLogger as log } from '#telemetry';
import { BarePublisher } from '../bare-publisher.js';

/**
 * What a user writes by hand who needs no more than the two streams: the same consumers, the same writes, the same number
 * at once, and nothing else. Started with `{natsUrl, recordBytes, inFlight, channel}`; `channel` says who publishes: `public`
 * keeps to what the client offers everyone, `ours` is the channel of our workers, which goes around it.
 */
const { natsUrl, recordBytes, inFlight, channel } = JSON.parse(process.argv[2] ?? '{}') as {
  natsUrl: string;
  recordBytes: number;
  inFlight: number;
  channel: 'public' | 'ours';
};
// A profile is written at an orderly end only.
process.once('SIGTERM', () => process.exit());

const names = new Names('lk', DEFAULT_SHARDS);
const connection = await BrokerConnection.open({ url: natsUrl, name: 'bare loop', log });
const publish = channel === 'ours' ? oursPublish() : publicPublish();
const record = 'x'.repeat(recordBytes);
const inboxPrefix = `${names.namespace}.inbox`;
const turnsPrefix = `${names.namespace}.turns`;

/** Sequence of the last record by subject. */
const last = new Map<string, number>();
const underWay = new Set<string>();
const waiting: string[] = [];
let taken = 0;

function next(): void {
  while (underWay.size < inFlight && taken < waiting.length) {
    const subject = waiting[taken] as string;
    // One session's records go one after another.
    if (underWay.has(subject)) return;
    taken++;
    underWay.add(subject);
    void commit(subject);
  }
}

async function commit(subject: string): Promise<void> {
  const expected = String(last.get(subject) ?? 0);
  last.set(subject, await publish(subject, record, { [HEADER.expectedLastSubjectSequence]: expected }));
  underWay.delete(subject);
  next();
}

type Publish = (subject: string, body: string, headers: Record<string, string>) => Promise<number>;

function publicPublish(): Publish {
  const publisher = new BarePublisher(connection.nc);
  return (subject, body, headers) => publisher.publish(subject, body, headers);
}

function oursPublish(): Publish {
  const publisher = new PublishChannel(connection);
  return async (subject, body, headers) => {
    const outcome = await publisher.publish(subject, body, headers);
    if (outcome.kind !== 'stored') throw new Error(`not stored: ${JSON.stringify(outcome)}`);
    return outcome.seq;
  };
}

await Promise.all(
  Array.from({ length: names.shards }, async (_, shard) => {
    const consumer = await connection.js.consumers.get(names.inboxStream, {
      filter_subjects: [names.inboxShardFilter(shard)],
      deliver_policy: DeliverPolicy.All,
    });
    await consumer.consume({
      max_messages: 500,
      callback: (message) => {
        waiting.push(turnsPrefix + message.subject.slice(inboxPrefix.length));
        next();
      },
    });
  }),
);
process.stdout.write('ready\n');
