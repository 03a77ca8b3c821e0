import { DeliverPolicy } from '@nats-io/jetstream';
import { Names, DEFAULT_SHARDS } from '#contracts';
import {
  applyTopology,
  BrokerConnection,
  declareTopology,
  KeyBucket,
  PublishChannel,
  StreamReader,
  type StoredMessage,
} from '#jetstream';
import { KeyLeaseStore, parseMember, type MemberValue } from '#shards';
import { createLogger } from '#telemetry';
import { startBroker, startBrokerCluster, until as untilSo } from '#testing';
import type { Message } from './work.js';

export const names = new Names('lk', DEFAULT_SHARDS);
export const log = createLogger({ level: 'error', service: 'bench' });

const FED_AT_ONCE = 256;
const LOOK_EVERY_MS = 25;

/** A fresh broker with the streams of an installation, seen from the bench's own process. */
export interface BenchBroker extends AsyncDisposable {
  readonly url: string;
  /** Of the server; the first one of a cluster. */
  readonly pid: number;
  /** Answers its sequence. */
  publish(message: Message): Promise<number>;
  /** Stores messages, 256 at a time on their way. */
  feed(messages: Iterable<Message>): Promise<void>;
  untilStored(stream: string, count: number): Promise<void>;
  /** Resolves when every shard has its reader. */
  untilRead(): Promise<void>;
  lastSeq(stream: string): Promise<number>;
  /** The broker's clock at a message, ms since the epoch. */
  storedAt(stream: string, seq: number): Promise<number>;
  bytesOf(stream: string, seq: number): Promise<number>;
  /** All that a stream holds, oldest first. */
  readAll(stream: string): Promise<StoredMessage[]>;
  /** The last message of each subject; those that have none are left out. */
  lastOf(stream: string, subjects: readonly string[]): Promise<StoredMessage[]>;
  /** Hands over what is stored from now on. */
  watch(stream: string, onMessage: (subject: string, text: string) => void): Promise<BenchWatch>;
  /** What the worker says of itself. */
  member(worker: string): Promise<MemberValue | undefined>;
  /** How many shards each worker owns, by its id; shards without an owner are not counted. */
  owned(): Promise<ReadonlyMap<string, number>>;
  /** Resolves with the next write of the worker's membership. */
  untilRenewed(worker: string): Promise<void>;
}

export interface BenchWatch {
  stop(): void;
}

/** The servers of a broker, and whether a write is on the disk before it is acknowledged. */
export interface ServerOptions {
  readonly replicas: 1 | 3;
  readonly syncsEveryWrite: boolean;
}

/** Without `servers`: one, with its defaults. */
export async function startBenchBroker(servers?: ServerOptions): Promise<BenchBroker> {
  const broker = await startServers(servers);
  const connection = await BrokerConnection.open({ url: broker.url, name: 'bench', log });
  const topology = declareTopology(names, { replicas: servers?.replicas ?? 1, dedupWindowMs: 900_000 });
  // A cluster that has just come up may refuse until it has a leader.
  await untilSo('the streams are there', () => applyTopology(connection, topology, log).then(() => true));
  const channel = new PublishChannel(connection, { timeoutMs: 60_000 });
  const { streams } = connection.jsm;
  const reader = new StreamReader(connection);
  const leases = new KeyLeaseStore(
    connection,
    new KeyBucket(connection, channel, reader, names.shardsBucket, log),
    names.shards,
  );
  const members = new KeyBucket(connection, channel, reader, names.membersBucket, log);
  const publish = async ({ subject, body, headers }: Message): Promise<number> => {
    const outcome = await channel.publish(subject, body, headers);
    if (outcome.kind !== 'stored' || outcome.duplicate) throw new Error(`not stored: ${JSON.stringify(outcome)}`);
    return outcome.seq;
  };
  const stored = async (stream: string, seq: number) => {
    const message = await streams.getMessage(stream, { seq });
    if (message === null) throw new Error(`${stream} has no message ${seq}`);
    return message;
  };
  return {
    url: broker.url,
    pid: broker.pid,
    publish,
    async feed(messages) {
      // One for all feeders: each takes the next.
      const rest = messages[Symbol.iterator]();
      const feeder = async (): Promise<void> => {
        for (let next = rest.next(); next.done !== true; next = rest.next()) await publish(next.value);
      };
      await Promise.all(Array.from({ length: FED_AT_ONCE }, feeder));
    },
    async untilStored(stream, count) {
      await until(async () => (await streams.info(stream)).state.messages >= count);
    },
    async untilRead() {
      await until(async () => (await streams.info(names.inboxStream)).state.consumer_count >= names.shards);
    },
    lastSeq: (stream) => reader.leaderLastSeq(stream),
    storedAt: async (stream, seq) => Date.parse((await stored(stream, seq)).timestamp),
    bytesOf: async (stream, seq) => (await stored(stream, seq)).data.length,
    async readAll(stream) {
      const all: StoredMessage[] = [];
      for await (const message of reader.messagesOf(stream, '>', 1)) all.push(message);
      return all;
    },
    lastOf: async (stream, subjects) => [...(await reader.lastPerSubject(stream, subjects)).found.values()],
    async watch(stream, onMessage) {
      // Not `New`: that begins where the stream ends when the broker gets to it.
      const from = (await reader.leaderLastSeq(stream)) + 1;
      const start = { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from };
      const consumer = await connection.js.consumers.get(stream, start);
      const messages = await consumer.consume({ callback: (message) => onMessage(message.subject, message.string()) });
      return { stop: () => messages.stop() };
    },
    member: async (worker) => parseMember((await members.read(worker))?.value ?? ''),
    async owned() {
      const owned = new Map<string, number>();
      for (const { lease } of (await leases.readAll()).values()) {
        const [worker] = lease.owner?.split('/') ?? [];
        if (worker !== undefined) owned.set(worker, (owned.get(worker) ?? 0) + 1);
      }
      return owned;
    },
    untilRenewed: (worker) =>
      new Promise((resolve) => {
        const forget = members.onWrite(worker, () => {
          forget();
          resolve();
        });
      }),
    async [Symbol.asyncDispose]() {
      channel.close();
      await connection.close();
      await broker[Symbol.asyncDispose]();
    },
  };
}

interface Servers extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

async function startServers(servers: ServerOptions | undefined): Promise<Servers> {
  if (servers === undefined) return startBroker();
  const cluster = await startBrokerCluster(servers.replicas, servers);
  const { url, pid } = cluster.nodes[0] ?? { url: '', pid: 0 };
  return { url, pid, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() };
}

/** Rarely: each look costs the broker a moment of what is measured. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
}
