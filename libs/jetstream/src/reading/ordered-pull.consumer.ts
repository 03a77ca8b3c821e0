import { createInbox, type Msg, type Subscription } from '@nats-io/transport-node';
import { readDelivery, type DeliveredMessage } from './delivered-message.client.js';
import type { BrokerConnection } from '../connection/nats-connection.client.js';

const STATUS_HEARTBEAT = 100;
const REFILL_SHARE = 0.5;
/** Heartbeats of the server. Counted, not timed: a process that was paused has not listened either. */
const SILENT_BEATS = 2;
const LOST = /deleted|leadership change|shutdown/i;
const TOO_LARGE = /exceeds maxbytes/i;

interface Pause {
  readonly timer: NodeJS.Timeout;
  waitMs: number;
  dueAt: number;
}

export interface OrderedPullOptions {
  readonly stream: string;
  readonly consumer: string;
  /** In flight or delivered. */
  readonly maxMessages: number;
  /** Per request, as the server counts: with subjects, replies and headers. A larger message comes alone. */
  readonly maxBytes: number;
  readonly expiresMs: number;
  readonly heartbeatMs: number;
  readonly onMessage: (message: DeliveredMessage) => void;
  /** False: the receiver has enough messages for now, and calls `resume` when that changes - default: always true. */
  readonly hasRoom?: (() => boolean) | undefined;
}

/** How often we check whether there is room again, in case `resume` is not called. */
const LOOK_AGAIN_MS = 50;
/**
 * Without room one message is requested after this time, then each time after twice as long. Without any request the broker
 * would treat the consumer as unused and remove it. An hour of that brings a few hundred messages of a flood.
 */
const FIRST_TRICKLE_MS = 250;
const LAST_TRICKLE_MS = 10_000;

/**
 * Reads an ordered consumer by pull requests of our own. The client's `consume` makes three objects per message and parses
 * its reply subject with a dozen more; and our caller handles gaps and silence better than the client: `ended` reports them.
 *
 *   reading --a gap, silence, a status that is not about one request alone, a callback that throws--> ended
 *
 * Several requests may be in flight. `awaited` is how many messages all of them together still ask for: a delivery reduces it
 * by one, and when the server drops a request it says how many messages of that request are left.
 */
export class OrderedPull {
  private readonly inbox = createInbox();
  private readonly subscription: Subscription;
  private readonly monitor: NodeJS.Timeout;
  private readonly requestSubject: string;
  private readonly end = Promise.withResolvers<string>();
  private awaited = 0;
  private deliverySeq = 0;
  private isHeard = false;
  private silentBeats = 0;
  private isStopped = false;
  /** The next message is larger than a request may bring. */
  private isNextLarge = false;
  /** Present while there is no room. */
  private pause: Pause | undefined;

  constructor(
    private readonly connection: BrokerConnection,
    private readonly options: OrderedPullOptions,
  ) {
    const { stream, consumer, heartbeatMs } = options;
    this.requestSubject = `${connection.apiPrefix}.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.subscription = connection.nc.subscribe(this.inbox, {
      callback: (error, message) => {
        if (this.isStopped) return;
        if (error !== null) return this.stopFor(error.message);
        this.isHeard = true;
        const delivered = readDelivery(message);
        if (delivered !== undefined) this.deliver(delivered);
        else this.hear(message);
        this.request();
      },
    });
    this.monitor = setInterval(() => this.listen(), heartbeatMs);
    this.request();
  }

  /** Resolves with the reason when it stops reading by itself; never after `stop`. */
  get ended(): Promise<string> {
    return this.end.promise;
  }

  /** A message was delivered. */
  get hasRead(): boolean {
    return this.deliverySeq > 0;
  }

  stop(): void {
    if (this.isStopped) return;
    this.isStopped = true;
    this.endPause();
    clearInterval(this.monitor);
    this.subscription.unsubscribe();
  }

  private stopFor(reason: string): void {
    if (this.isStopped) return;
    this.stop();
    this.end.resolve(reason);
  }

  private deliver(message: DeliveredMessage): void {
    if (message.deliverySeq !== this.deliverySeq + 1) return this.stopFor('a message is missing');
    this.deliverySeq = message.deliverySeq;
    this.awaited = Math.max(0, this.awaited - 1);
    try {
      this.options.onMessage(message);
    } catch (error) {
      // If thrown on, the error would end the client's reading of the whole connection.
      this.stopFor(String(error));
    }
  }

  /** A status of the server about our requests. */
  private hear({ headers }: Msg): void {
    const code = headers?.code ?? 0;
    if (code === STATUS_HEARTBEAT) {
      // The last message of a quiet shard was lost: no next message will show the gap.
      if (Number(headers?.get('Nats-Last-Consumer') || 0) > this.deliverySeq) this.stopFor('a message is missing');
      return;
    }
    const description = headers?.description ?? '';
    const unmet = headers?.get('Nats-Pending-Messages') ?? '';
    // The consumer or its leader is gone, or refuses our requests: a new one is made sooner than the silence would be noticed.
    // A request that has expired says how many of its messages are left, and does not affect the others.
    if (unmet === '' || LOST.test(description)) return this.stopFor(`${code} ${description}`.trim());
    this.awaited = Math.max(0, this.awaited - Number(unmet));
    // When a request has delivered nothing, all its bytes are left. A request whose last message fits to the byte ends
    // without a status: its rest stays counted, and if that blocks new requests, the silence ends this reader after two
    // beats.
    if (!TOO_LARGE.test(description)) return;
    this.isNextLarge = Number(headers?.get('Nats-Pending-Bytes') || 0) >= this.options.maxBytes;
  }

  /** There may be room again. */
  resume(): void {
    if (this.pause !== undefined) this.request();
  }

  private request(): void {
    const { maxMessages, hasRoom } = this.options;
    if (this.isStopped || this.awaited > maxMessages * REFILL_SHARE) return;
    if (hasRoom?.() === false) return this.trickle();
    this.endPause();
    this.ask(maxMessages - this.awaited);
  }

  private trickle(): void {
    const now = performance.now();
    this.pause ??= {
      timer: setInterval(() => this.request(), LOOK_AGAIN_MS),
      waitMs: FIRST_TRICKLE_MS,
      dueAt: now + FIRST_TRICKLE_MS,
    };
    if (this.awaited > 0 || now < this.pause.dueAt) return;
    this.pause.waitMs = Math.min(LAST_TRICKLE_MS, this.pause.waitMs * 2);
    this.pause.dueAt = now + this.pause.waitMs;
    this.ask(1);
  }

  private endPause(): void {
    clearInterval(this.pause?.timer);
    this.pause = undefined;
  }

  private ask(messages: number): void {
    const { maxBytes, expiresMs, heartbeatMs } = this.options;
    const bound = this.isNextLarge ? { batch: 1 } : { batch: messages, max_bytes: maxBytes };
    this.isNextLarge = false;
    this.awaited += bound.batch;
    const request = { ...bound, expires: expiresMs * 1e6, idle_heartbeat: heartbeatMs * 1e6 };
    try {
      this.connection.nc.publish(this.requestSubject, JSON.stringify(request), { reply: this.inbox });
    } catch (error) {
      // The connection is being closed. Our callers are the client's reader and a timer: neither may get an exception.
      this.stopFor(String(error));
    }
  }

  private listen(): void {
    // Without a request no heartbeat is expected.
    const isSilent = !this.isHeard && this.awaited > 0;
    this.isHeard = false;
    this.silentBeats = isSilent ? this.silentBeats + 1 : 0;
    if (this.silentBeats === SILENT_BEATS) this.stopFor('it is silent');
  }
}
