import { decodeUtf8, HEADER } from '#contracts';
import type { Logger } from '#telemetry';
import { bucketStream } from './topology/bucket-stream.js';
import type { BrokerConnection } from './connection/nats-connection.client.js';
import type { PublishChannel } from './writing/publish-channel.publisher.js';
import { SERVER_ERROR } from './connection/server-errors.js';
import type { StoredMessage, StreamReader } from './reading/stream-reader.client.js';

/** The last write of a key. */
export interface KeyEntry {
  readonly key: string;
  /** Grows with every write in the bucket; the next write of this key has to expect it. */
  readonly revision: number;
  /** `undefined` when the last write removed the key. */
  readonly value: string | undefined;
}

export type KeyWrite =
  | { readonly kind: 'written'; readonly revision: number }
  /** Another process wrote in between. */
  | { readonly kind: 'conflict' }
  /** The outcome is unknown: the broker is away, or did not answer. Read the key from the leader and compare. */
  | { readonly kind: 'unclear' };

/** A removed key is announced to readers for so long; then the bucket keeps nothing of it. */
const REMOVAL_KEPT_S = 60;
/** How often we try while another write of the key is in flight: that answer means neither success nor failure. */
const TRIES_IN_FLIGHT = 5;
const PAUSE_MS = 20;

/**
 * A key-value bucket that decisions may rest on: every write is a compare-and-set with an explicit time to live.
 *
 * The client's own KV does not fit for leases: its `update` and `put` drop the time to live, so that a renewed lease never
 * ends, its `keys` lists expired keys, and a replica that is behind may answer its `get`.
 */
export class KeyBucket {
  private readonly stream: string;
  private readonly prefix: string;

  constructor(
    private readonly connection: BrokerConnection,
    private readonly channel: PublishChannel,
    private readonly reader: StreamReader,
    bucket: string,
    private readonly log: Logger,
  ) {
    ({ stream: this.stream, prefix: this.prefix } = bucketStream(bucket));
  }

  /** Asks the leader: decisions may rest on this. `undefined` when there is nothing under the key. Rejects in an outage. */
  async read(key: string): Promise<KeyEntry | undefined> {
    const stored = await this.reader.leaderLast(this.stream, this.prefix + key);
    return stored === undefined ? undefined : this.entryOf(stored);
  }

  /**
   * The keys that have a value, of those asked for; `*` stands for any name, and finds no more than fits into one answer
   * (512 KiB, 1,024 keys). May be a moment behind. Rejects in an outage.
   */
  async readMany(keys: readonly string[]): Promise<KeyEntry[]> {
    const subjects = keys.map((key) => this.prefix + key);
    const { found } = await this.reader.lastPerSubject(this.stream, subjects);
    return [...found.values()].map((stored) => this.entryOf(stored)).filter(({ value }) => value !== undefined);
  }

  /** The keys of a pattern that have a value, however many they are. May be a moment behind. Rejects in an outage. */
  async *all(pattern: string): AsyncGenerator<KeyEntry> {
    for await (const stored of this.reader.messagesOf(this.stream, this.prefix + pattern, 1)) {
      const entry = this.entryOf(stored);
      if (entry.value !== undefined) yield entry;
    }
  }

  /** `expected`: the revision that the key has now, 0 = none. The server rounds `ttlMs` up to whole seconds. */
  async write(
    key: string,
    value: string,
    { expected, ttlMs }: { readonly expected: number; readonly ttlMs?: number },
  ): Promise<KeyWrite> {
    const headers: Record<string, string> = { [HEADER.expectedLastSubjectSequence]: String(expected) };
    if (ttlMs !== undefined) headers[HEADER.ttl] = `${Math.ceil(ttlMs / 1000)}s`;
    return this.publish(key, value, headers);
  }

  /** Removes the key; its readers are told at once. */
  async remove(key: string, expected: number): Promise<KeyWrite> {
    return this.publish(key, '', {
      [HEADER.expectedLastSubjectSequence]: String(expected),
      [HEADER.ttl]: `${REMOVAL_KEPT_S}s`,
      [HEADER.keyOperation]: 'DEL',
    });
  }

  /**
   * Reports writes as they are published: without cost for the broker, but only as a hint, since the broker may refuse the
   * write. Expired keys are not reported. `value` is empty for a removal.
   */
  onWrite(pattern: string, listener: (key: string, value: string) => void): () => void {
    const subscription = this.connection.nc.subscribe(this.prefix + pattern, {
      callback: (error, message) => {
        if (error === null) listener(message.subject.slice(this.prefix.length), textOf(message.data));
      },
    });
    return () => subscription.unsubscribe();
  }

  private async publish(key: string, value: string, headers: Record<string, string>): Promise<KeyWrite> {
    for (let tries = 1; ; tries++) {
      const outcome = await this.channel.publish(this.prefix + key, value, headers);
      if (outcome.kind === 'stored') return { kind: 'written', revision: outcome.seq };
      if (outcome.kind !== 'refused') return { kind: 'unclear' };
      if (outcome.code === SERVER_ERROR.wrongLastSequence) return { kind: 'conflict' };
      if (outcome.code !== SERVER_ERROR.writeInFlight || tries === TRIES_IN_FLIGHT) {
        this.log.warn({ key, outcome }, 'the broker refuses a key');
        return { kind: 'unclear' };
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  private entryOf(stored: StoredMessage): KeyEntry {
    // The server's own mark in place of an expired value has no bytes either.
    const isRemoved = stored.data.length === 0;
    return {
      key: stored.subject.slice(this.prefix.length),
      revision: stored.seq,
      value: isRemoved ? undefined : textOf(stored.data),
    };
  }
}

/** Bytes that are not text become a text that is no valid value. As "no value" the key would look free. */
function textOf(data: Uint8Array): string {
  return decodeUtf8(data) ?? '\ufffd';
}
