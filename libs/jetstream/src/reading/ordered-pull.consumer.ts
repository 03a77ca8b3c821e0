import { createInbox, type Msg, type Subscription } from '@nats-io/transport-node';
import { readDelivery, type DeliveredMessage } from './delivered-message.client.js';
import type { BrokerConnection } from '../connection/nats-connection.client.js';

const STATUS_HEARTBEAT = 100;
const REFILL_SHARE = 0.5;
/** Of the server's heartbeats. Counted, not timed: a process that did nothing for a while has not listened either. */
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
  /** On their way or handed over. */
  readonly maxMessages: number;
  /** Of one request, as the server counts: with subjects, replies and headers. A larger message comes alone. */
  readonly maxBytes: number;
  readonly expiresMs: number;
  readonly heartbeatMs: number;
  readonly onMessage: (message: DeliveredMessage) => void;
  /** False: the one that takes the messages has enough for now, and calls `resume` when that changes - default: always true. */
  readonly hasRoom?: (() => boolean) | undefined;
}

/** Whether there is room again is asked so often, should the word get lost. */
const LOOK_AGAIN_MS = 50;
/**
 * Without room one message is asked for after so long, then after twice as long each time. Without any request the broker
 * would take the consumer for one that is not used. An hour of that brings a few hundred messages of a flood.
 */
const FIRST_TRICKLE_MS = 250;
const LAST_TRICKLE_MS = 10_000;

/**
 * Reads an ordered consumer by pull requests of our own. The client's `consume` makes three objects of each message and parses
 * its reply subject with a dozen more; and what it does about gaps and silence, our caller does better: `ended` says so.
 *
 *   reading --a gap, silence, a status that is not about one request alone, a callback that throws--> ended
 *
 * Several requests may be under way. `awaited` is what all of them together still ask for: a delivery is one less, and the
 * server says of a request that it drops how many it had not met.
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

  /** Resolves with the reason when it reads no more by itself; never for `stop`. */
  get ended(): Promise<string> {
    return this.end.promise;
  }

  /** It was given something. */
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
      // Thrown on, it would end the client's reading of the whole connection.
      this.stopFor(String(error));
    }
  }

  /** What the server says of our requests. */
  private hear({ headers }: Msg): void {
    const code = headers?.code ?? 0;
    if (code === STATUS_HEARTBEAT) {
      // The last one of a quiet shard was lost on its way: no next one will tell.
      if (Number(headers?.get('Nats-Last-Consumer') || 0) > this.deliverySeq) this.stopFor('a message is missing');
      return;
    }
    const description = headers?.description ?? '';
    const unmet = headers?.get('Nats-Pending-Messages') ?? '';
    // The consumer is gone, or its leader, or wants none of our requests: a new one is made sooner than this one is found
    // out to be silent. A request that has run out names what it had not met, and leaves the others alone.
    if (unmet === '' || LOST.test(description)) return this.stopFor(`${code} ${description}`.trim());
    this.awaited = Math.max(0, this.awaited - Number(unmet));
    // Of a request that has brought nothing all bytes are left. One whose last message fits to the byte ends without a word:
    // what it had not met stays counted, and if that is too much to ask anew, the silence ends this reader after two beats.
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
      // The connection is being closed. Our callers are the client's reader and a timer: neither may see a throw.
      this.stopFor(String(error));
    }
  }

  private listen(): void {
    // Without a request there is nothing to hear.
    const isSilent = !this.isHeard && this.awaited > 0;
    this.isHeard = false;
    this.silentBeats = isSilent ? this.silentBeats + 1 : 0;
    if (this.silentBeats === SILENT_BEATS) this.stopFor('it is silent');
  }
}
