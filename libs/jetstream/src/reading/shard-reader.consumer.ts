import { once } from 'node:events';
import { DeliverPolicy } from '@nats-io/jetstream';
import { doublingWaitMs } from '#contracts';
import type { Logger } from '#telemetry';
import { CatchUp, type ShardEnd } from './catch-up.js';
import type { DeliveredMessage } from './delivered-message.client.js';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import { OrderedPull } from './ordered-pull.consumer.js';

/** The broker removes a consumer without a reader after this time; a live one stays. */
const INACTIVE_THRESHOLD_MS = 30_000;
/**
 * Per shard, in flight or delivered. With all shards that is a few thousand messages ahead of the turns, which is
 * enough; with 500 each the garbage collector took a sixth of a full inbox's turns per second. With 48, and a request for every
 * twelve of them, a turn that is fed live cost a tenth more: each request is a write for us and work for the broker.
 */
const MESSAGES_IN_FLIGHT = 96;
/**
 * Per request: the largest message, with room for its subject and reply. The broker cuts off a connection for which 64 MiB
 * wait, and every publish with it; 48 of the largest messages of two shards are more. Even one each of all 64 shards at once
 * can be more, since the broker counts what it is writing until all of it is written.
 */
const BYTES_PER_REQUEST = 1024 * 1024 + 16 * 1024;
const PULL_EXPIRES_MS = 10_000;
/**
 * Short, so that two missed beats soon reveal a consumer that was lost with its node while our connection is at another one.
 */
const HEARTBEAT_MS = 1_500;
/**
 * A consumer that reads nothing and ends within this time would end again and again, and the meta leader makes each of them.
 */
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
  /** Called when everything that was stored at the beginning is delivered, and again after each `onBehind`. */
  readonly onCaughtUp: () => void;
  /** It had caught up, and now reads no further, or not at all: after a pause, a lost consumer, a lost connection. */
  readonly onBehind?: () => void;
  /** Says where the shard ends - default: the consumer says it, which is right with one replica. */
  readonly end?: ShardEnd | undefined;
  /** False: enough messages wait to be processed. The owner calls `resume` when that changes - default: always true. */
  readonly hasRoom?: () => boolean;
  readonly log: Logger;
}

/**
 * Reads one shard with an ordered consumer (no acks, strict order) and survives its failures: after a reconnect, a lost
 * consumer or a failed create it makes a new consumer after the last message that it delivered.
 *
 * nats.js would repair gaps by itself, but after a broker restart its repair may sleep for a whole pull expiry, and it stops
 * for good after a callback threw: so this loop, not the client, owns the position, and reads by its own requests.
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

  /** The last sequence that was delivered, or the one before the first to read. */
  get position(): number {
    return this.lastSeq;
  }

  /** Everything that was stored when it began, or when it last resumed, is delivered. */
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
    // Messages that are stored during the outage come after the reconnect, from another consumer.
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

  /** Resolves when a new consumer is needed: after a reconnect, a stop, or when it ended by itself. */
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
    // Best effort: the threshold removes an idle consumer too, but until then it counts against the server's limit.
    const deleted = this.connection.isUp ? consumer.delete().catch(() => false) : undefined;
    // A consumer that is gone with its node gives no answer for seconds, in which the next one could read.
    if (this.stopped) await deleted;
    if (reason === undefined || pull.hasRead || performance.now() - beganAt > AT_ONCE_MS) return;
    throw new Error(`the consumer ended at once: ${reason}`);
  }

  /** The result is the reason when it ended by itself. */
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
    // A consumer on a lagging replica starts before our position.
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

  /** A broker that is away must not delay a stop. A consumer that is still made is removed by its threshold. */
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
