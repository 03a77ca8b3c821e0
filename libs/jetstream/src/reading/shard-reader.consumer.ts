import { once } from 'node:events';
import { DeliverPolicy } from '@nats-io/jetstream';
import { doublingWaitMs } from '#contracts';
import type { Logger } from '#telemetry';
import { CatchUp, type ShardEnd } from './catch-up.js';
import type { DeliveredMessage } from './delivered-message.client.js';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import { OrderedPull } from './ordered-pull.consumer.js';

/** A consumer without a reader is gone after this; a live one never is. */
const INACTIVE_THRESHOLD_MS = 30_000;
/**
 * Per shard, on their way or handed over. With all shards that is a few thousand messages ahead of the turns, which is
 * enough; with 500 each the garbage collector took a sixth of a full inbox's turns per second. With 48, and a request for every
 * twelve of them, a turn that is fed live cost a tenth more: each request is a write of ours and work of the broker.
 */
const MESSAGES_IN_FLIGHT = 96;
/**
 * Per request: the largest message, with room for its subject and reply. The broker cuts off a connection for which 64 MiB wait,
 * and every publish with it; 48 of the largest messages of two shards are more. Of all 64 shards at once even one each can be,
 * as the broker counts what it is writing until all of it is written.
 */
const BYTES_PER_REQUEST = 1024 * 1024 + 16 * 1024;
const PULL_EXPIRES_MS = 10_000;
/** Short, so that a consumer that was lost with its node, while our connection is at another one, is missed after two of them. */
const HEARTBEAT_MS = 1_500;
/** One that reads nothing and ends within this would end again and again, and each is made by the leader of all streams. */
const AT_ONCE_MS = 1_000;
const RETRY = { firstMs: 250, longestMs: 5_000 };

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
  /** Called when everything that was stored at the beginning has been handed over, and again after each `onBehind`. */
  readonly onCaughtUp: () => void;
  /** It had caught up, and now reads no further, or not at all: for a pause, a lost consumer, a lost connection. */
  readonly onBehind?: () => void;
  /** By whom it knows that it has caught up - default: by the consumer, which is right with one replica. */
  readonly end?: ShardEnd | undefined;
  /** False: enough of what was read waits for its turn. Who asked is told by `resume` when that changes - default: always true. */
  readonly hasRoom?: () => boolean;
  readonly log: Logger;
}

/**
 * Reads one shard with an ordered consumer (no acks, strict order) and survives whatever happens to it: after a
 * reconnect, a lost consumer or a failed create it makes a new one behind the last message handed over.
 *
 * nats.js would repair gaps by itself, but after a broker restart its repair may sleep for a whole pull expiry, and it stops
 * for good after a callback threw: so this loop, not the client, owns the position, and reads by requests of its own.
 */
export class ShardReader {
  private lastSeq: number;
  private readonly stopping = new AbortController();
  private readonly whenStopped = once(this.stopping.signal, 'abort').then(() => undefined);
  private wake: () => void = () => {};
  private loop: Promise<void> | undefined;
  private pull: OrderedPull | undefined;
  private readonly catchUp: CatchUp;

  constructor(
    private readonly connection: BrokerConnection,
    private readonly options: ShardReaderOptions,
  ) {
    this.lastSeq = options.fromSeq - 1;
    const { end, onCaughtUp, onBehind = () => {}, log } = options;
    this.catchUp = new CatchUp({ end, onCaughtUp, onBehind, log });
  }

  private get stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  /** The last sequence that was handed over, or the one before the first to read. */
  get position(): number {
    return this.lastSeq;
  }

  /** Everything that was stored when it began, or when it last went on, has been handed over. */
  get isCaughtUp(): boolean {
    return this.catchUp.isCaughtUp;
  }

  start(): void {
    this.loop ??= this.run();
  }

  /** There may be room again. */
  resume(): void {
    this.pull?.resume();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.catchUp.stop();
    this.wake();
    await this.loop;
  }

  private async run(): Promise<void> {
    // What is stored while it is down comes after the reconnect, from another consumer.
    const forgetDown = this.connection.onDown(() => this.catchUp.lapse());
    await this.readOn();
    forgetDown();
  }

  private async readOn(): Promise<void> {
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
        await this.sleep(doublingWaitMs(RETRY, failures - 1));
      }
    }
  }

  /** Resolves when the consumer is to be made anew: after a reconnect, a stop, or an end of its own. */
  private async readUntilBroken(): Promise<void> {
    const { stream, filter } = this.options;
    this.catchUp.open(this.lastSeq);
    const consumer = await this.unlessStopped(
      this.connection.js.consumers.get(stream, {
        filter_subjects: [filter],
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: this.lastSeq + 1,
        inactive_threshold: INACTIVE_THRESHOLD_MS,
      }),
    );
    const info = await this.unlessStopped(consumer?.info(true));
    if (consumer === undefined || info === undefined || this.stopped) return;
    this.catchUp.passed(this.lastSeq, info.num_pending === 0);
    const beganAt = performance.now();
    const pull = new OrderedPull(this.connection, {
      stream,
      consumer: info.name,
      maxMessages: MESSAGES_IN_FLIGHT,
      maxBytes: BYTES_PER_REQUEST,
      expiresMs: PULL_EXPIRES_MS,
      heartbeatMs: HEARTBEAT_MS,
      onMessage: (message) => this.take(message),
      hasRoom: () => this.hasRoom(),
    });
    this.pull = pull;
    const reason = await this.untilBroken(pull);
    this.pull = undefined;
    pull.stop();
    // Best effort: an idle consumer also ends by its threshold, but until then it counts against the server's cap.
    const deleted = this.connection.isUp ? consumer.delete().catch(() => false) : undefined;
    // For one that is gone with its node there is no answer for seconds, in which the next one could read.
    if (this.stopped) await deleted;
    if (reason === undefined || pull.hasRead || performance.now() - beganAt > AT_ONCE_MS) return;
    throw new Error(`the consumer ended at once: ${reason}`);
  }

  /** The answer is the reason when it ended by itself. */
  private async untilBroken(pull: OrderedPull): Promise<string | undefined> {
    if (this.stopped) return undefined;
    let forgetUp = (): void => {};
    const interrupted = new Promise<undefined>((resolve) => {
      this.wake = () => resolve(undefined);
      forgetUp = this.connection.onUp(() => resolve(undefined));
    });
    try {
      const reason = await Promise.race([interrupted, pull.ended]);
      if (reason !== undefined) this.options.log.debug({ reason, filter: this.options.filter }, 'shard reader ended');
      return reason;
    } finally {
      forgetUp();
    }
  }

  private take(message: DeliveredMessage): void {
    if (this.stopped) return;
    // One that is made on a replica that is behind begins below where we were.
    if (message.seq > this.lastSeq) {
      this.lastSeq = message.seq;
      this.options.onMessage(message);
    }
    this.catchUp.passed(this.lastSeq, message.pending === 0);
  }

  private hasRoom(): boolean {
    const hasRoom = this.options.hasRoom?.() ?? true;
    if (hasRoom) this.catchUp.resume();
    else this.catchUp.lapse();
    return hasRoom;
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
