import { once } from 'node:events';
import type { ConsumerMessages, JsMsg } from '@nats-io/jetstream';
import { DeliverPolicy } from '@nats-io/jetstream';
import type { Logger } from '#telemetry';
import type { BrokerConnection } from './nats-connection.client.js';

/** A consumer that nobody reads any more is gone after this; a live one never is. */
const INACTIVE_THRESHOLD_MS = 30_000;
/**
 * Per shard, on their way or handed over. With all shards that is a few thousand messages ahead of the turns, which is
 * enough; five times as many only kept the garbage collector busy (a sixth of a full inbox's turns per second).
 */
const MESSAGES_IN_FLIGHT = 100;
const PULL_EXPIRES_MS = 10_000;
/** Short, so that a consumer that was lost with its node, while our connection is at another one, is missed after two of them. */
const HEARTBEAT_MS = 1_500;
const RETRY_MS = 250;
const RETRY_MAX_MS = 5_000;

export interface ShardMessage {
  readonly subject: string;
  readonly seq: number;
  /** The broker's clock, ms since the epoch. */
  readonly storedAtMs: number;
  readonly data: Uint8Array;
  header(name: string): string;
}

export interface ShardReaderOptions {
  readonly stream: string;
  readonly filter: string;
  /** First sequence to read. */
  readonly fromSeq: number;
  /** Gets every message once, in stream order. Must not throw. */
  readonly onMessage: (message: ShardMessage) => void;
  /** Called whenever everything that was stored when the consumer was made has been handed over. */
  readonly onCaughtUp: () => void;
  readonly log: Logger;
}

/**
 * Reads one shard with an ordered consumer (no acks, strict order) and survives whatever happens to it: after a
 * reconnect, a lost consumer or a failed create it makes a new one behind the last message handed over.
 *
 * nats.js repairs gaps by itself, but after a broker restart its repair may sleep for a whole pull expiry, and it stops
 * for good after a callback threw: so this loop, not the client, owns the position.
 */
export class ShardReader {
  private lastSeq: number;
  private readonly stopping = new AbortController();
  private readonly whenStopped = once(this.stopping.signal, 'abort').then(() => undefined);
  private wake: () => void = () => {};
  private loop: Promise<void> | undefined;

  constructor(
    private readonly connection: BrokerConnection,
    private readonly options: ShardReaderOptions,
  ) {
    this.lastSeq = options.fromSeq - 1;
  }

  private get stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  /** The last sequence that was handed over, or the one before the first to read. */
  get position(): number {
    return this.lastSeq;
  }

  start(): void {
    this.loop ??= this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.wake();
    await this.loop;
  }

  private async run(): Promise<void> {
    let failures = 0;
    while (!this.stopped && !this.connection.nc.isClosed()) {
      await this.unlessStopped(this.connection.whenUp());
      if (this.stopped) return;
      try {
        await this.readUntilBroken();
        failures = 0;
      } catch (error) {
        failures++;
        this.options.log.warn({ error: String(error), filter: this.options.filter }, 'shard reader starts again');
        await this.sleep(Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** (failures - 1)));
      }
    }
  }

  /** Resolves when the consumer is to be made anew: after a reconnect, a stop, or an end of its own. */
  private async readUntilBroken(): Promise<void> {
    const { stream, filter } = this.options;
    const consumer = await this.unlessStopped(
      this.connection.js.consumers.get(stream, {
        filter_subjects: [filter],
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: this.lastSeq + 1,
        inactive_threshold: INACTIVE_THRESHOLD_MS,
      }),
    );
    const info = await this.unlessStopped(consumer?.info(true));
    if (consumer === undefined || info === undefined) return;
    if (info.num_pending === 0) this.options.onCaughtUp();
    const messages = await consumer.consume({
      callback: (message) => this.take(message),
      max_messages: MESSAGES_IN_FLIGHT,
      expires: PULL_EXPIRES_MS,
      idle_heartbeat: HEARTBEAT_MS,
    });
    await this.untilBroken(messages);
    messages.stop();
    // Best effort: an idle consumer also ends by its threshold, but until then it counts against the server's cap.
    const deleted = this.connection.isUp ? consumer.delete().catch(() => false) : undefined;
    // Of one that is gone with its node nobody answers for seconds, in which the next one could read.
    if (this.stopped) await deleted;
  }

  private async untilBroken(messages: ConsumerMessages): Promise<void> {
    if (this.stopped) return;
    let forgetUp = (): void => {};
    const interrupted = new Promise<void>((resolve) => {
      this.wake = resolve;
      forgetUp = this.connection.onUp(resolve);
    });
    const ended = messages.closed().then((error) => {
      if (error instanceof Error) throw error;
    });
    try {
      await Promise.race([interrupted, ended, untilSilent(messages)]);
    } finally {
      forgetUp();
    }
  }

  private take(message: JsMsg): void {
    if (this.stopped || message.seq <= this.lastSeq) return;
    this.lastSeq = message.seq;
    this.options.onMessage({
      subject: message.subject,
      seq: message.seq,
      storedAtMs: Math.floor(message.info.timestampNanos / 1e6),
      data: message.data,
      header: (name) => message.headers?.get(name) ?? '',
    });
    if (message.info.pending === 0) this.options.onCaughtUp();
  }

  /** A broker that is away must not hold up a stop. A consumer that is made all the same ends by its threshold. */
  private async unlessStopped<T>(work: Promise<T> | undefined): Promise<T | undefined> {
    work?.catch(() => {});
    return Promise.race([work, this.whenStopped]);
  }

  private async sleep(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.wake = () => (clearTimeout(timer), resolve());
    });
  }
}

/**
 * The consumer says nothing any more, not even that there is nothing. nats.js would ask for it, wait for an answer that its
 * dead node never gives, then sleep for a pull's expiry, and so on: half a minute in which the shard stands still (L5).
 */
async function untilSilent(messages: ConsumerMessages): Promise<void> {
  for await (const { type } of messages.status()) if (type === 'heartbeats_missed') return;
  // It has ended; whoever follows that says why.
  await new Promise<never>(() => {});
}
