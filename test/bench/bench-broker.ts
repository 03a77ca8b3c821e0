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
import { KeyLeaseStore } from '#shards';
import { createLogger } from '#telemetry';
import { startBroker } from '#testing';
import type { Message } from './work.js';

export const names = new Names('lk', DEFAULT_SHARDS);
export const log = createLogger({ level: 'error', service: 'bench' });

const FED_AT_ONCE = 256;
const LOOK_EVERY_MS = 25;

/** A fresh broker with the streams of an installation, seen from the bench's own process. */
export interface BenchBroker extends AsyncDisposable {
  readonly url: string;
  publish(message: Message): Promise<void>;
  /** Stores messages, 256 at a time on their way. */
  feed(messages: readonly Message[]): Promise<void>;
  untilStored(stream: string, count: number): Promise<void>;
  /** Resolves when every shard has its reader. */
  untilRead(): Promise<void>;
  /** The broker's clock at a message, ms since the epoch. */
  storedAt(stream: string, seq: number): Promise<number>;
  bytesOf(stream: string, seq: number): Promise<number>;
  /** All that a stream holds, oldest first. */
  readAll(stream: string): Promise<StoredMessage[]>;
  /** How many shards each worker owns, by its id; nobody's are not counted. */
  owned(): Promise<ReadonlyMap<string, number>>;
  /** Resolves with the next write of the worker's membership. */
  untilRenewed(worker: string): Promise<void>;
}

export async function startBenchBroker(): Promise<BenchBroker> {
  const broker = await startBroker();
  const connection = await BrokerConnection.open({ url: broker.url, name: 'bench', log });
  await applyTopology(connection, declareTopology(names, { replicas: 1, dedupWindowMs: 900_000 }), log);
  const channel = new PublishChannel(connection, { timeoutMs: 60_000 });
  const { streams } = connection.jsm;
  const reader = new StreamReader(connection);
  const leases = new KeyLeaseStore(
    connection,
    new KeyBucket(connection, channel, reader, names.shardsBucket, log),
    names.shards,
  );
  const members = new KeyBucket(connection, channel, reader, names.membersBucket, log);
  const publish = async ({ subject, body, headers }: Message): Promise<void> => {
    const outcome = await channel.publish(subject, body, headers);
    if (outcome.kind !== 'stored' || outcome.duplicate) throw new Error(`not stored: ${JSON.stringify(outcome)}`);
  };
  const stored = async (stream: string, seq: number) => {
    const message = await streams.getMessage(stream, { seq });
    if (message === null) throw new Error(`${stream} has no message ${seq}`);
    return message;
  };
  return {
    url: broker.url,
    publish,
    async feed(messages) {
      let next = 0;
      const feeder = async (): Promise<void> => {
        for (let message = messages[next++]; message !== undefined; message = messages[next++]) await publish(message);
      };
      await Promise.all(Array.from({ length: FED_AT_ONCE }, feeder));
    },
    async untilStored(stream, count) {
      await until(async () => (await streams.info(stream)).state.messages >= count);
    },
    async untilRead() {
      await until(async () => (await streams.info(names.inboxStream)).state.consumer_count >= names.shards);
    },
    storedAt: async (stream, seq) => Date.parse((await stored(stream, seq)).timestamp),
    bytesOf: async (stream, seq) => (await stored(stream, seq)).data.length,
    async readAll(stream) {
      const all: StoredMessage[] = [];
      for await (const message of reader.messagesOf(stream, '>', 1)) all.push(message);
      return all;
    },
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

/** Rarely: each look costs the broker a moment of what is measured. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
}
