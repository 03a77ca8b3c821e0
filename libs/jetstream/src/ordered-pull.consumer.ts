import { createInbox, type Msg, type Subscription } from '@nats-io/transport-node';
import type { BrokerConnection } from './nats-connection.client.js';

const STATUS_HEARTBEAT = 100;
const STATUS_BAD_REQUEST = 400;
const STATUS_CONFLICT = 409;
const STATUS_NO_RESPONDERS = 503;
const DELIVERY = '$JS.ACK.';
/** Names of one and the same consumer, of a server with and without a domain. */
const SHORT_FORM = 9;
const REFILL_SHARE = 0.75;

/** A message as a consumer delivers it. */
export class DeliveredMessage {
  private headerBytes: Uint8Array | undefined;

  constructor(
    private readonly message: Msg,
    readonly seq: number,
    readonly deliverySeq: number,
    /** The broker's clock, ms since the epoch. */
    readonly storedAtMs: number,
    /** How many there are behind it. */
    readonly pending: number,
    readonly data: Uint8Array,
  ) {}

  get subject(): string {
    return this.message.subject;
  }

  header(name: string): string {
    if (!this.mayHave(name)) return '';
    return this.message.headers?.get(name) ?? '';
  }

  /** Headers are parsed as a whole, and of most messages nobody wants any but the broker's own: so their bytes are looked through. */
  private mayHave(name: string): boolean {
    this.headerBytes ??= headerBytesOf(this.message);
    return (
      this.headerBytes === undefined ||
      Buffer.from(this.headerBytes.buffer, this.headerBytes.byteOffset, this.headerBytes.length).includes(
        name,
        0,
        'latin1',
      )
    );
  }
}

/** As nats.js keeps them; undefined when it keeps them otherwise than we know. */
function headerBytesOf(message: Msg): Uint8Array | undefined {
  const { _rdata: bytes, _msg: args } = message as unknown as { _rdata?: unknown; _msg?: { hdr?: unknown } };
  if (!(bytes instanceof Uint8Array) || typeof args?.hdr !== 'number') return undefined;
  return bytes.subarray(0, Math.max(0, args.hdr));
}

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
  readonly expiresMs: number;
  readonly heartbeatMs: number;
  readonly onMessage: (message: DeliveredMessage) => void;
  /** False: whoever takes the messages has enough for now, and calls `goOn` when that changes - default: always true. */
  readonly hasRoom?: (() => boolean) | undefined;
}

/** Whether there is room again is asked so often, should the word get lost. */
const LOOK_AGAIN_MS = 50;
/**
 * Without room one message is asked for after so long, then after twice as long each time: never again, and the broker would
 * take the consumer for one that is not used. What came of a flood in an hour like that is a few hundred messages.
 */
const FIRST_TRICKLE_MS = 250;
const LAST_TRICKLE_MS = 10_000;

/**
 * Reads an ordered consumer by pull requests of our own. The client's `consume` makes three objects of each message and parses
 * its reply subject with a dozen more; and what it does about gaps and silence, whoever has us does better: `ended` says so.
 *
 *   reading --a gap, the consumer is gone, silence--> ended
 */
export class OrderedPull {
  private readonly inbox = createInbox();
  private readonly subscription: Subscription;
  private readonly monitor: NodeJS.Timeout;
  private readonly requestSubject: string;
  private readonly end = Promise.withResolvers<string>();
  private awaited = 0;
  private deliverySeq = 0;
  private heardAt = performance.now();
  private isStopped = false;
  /** Present while there is no room. */
  private pause: Pause | undefined;

  constructor(
    private readonly connection: BrokerConnection,
    private readonly options: OrderedPullOptions,
  ) {
    const { stream, consumer, heartbeatMs } = options;
    this.requestSubject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.subscription = connection.nc.subscribe(this.inbox, {
      callback: (error, message) => {
        if (this.isStopped) return;
        if (error !== null) return this.stopFor(error.message);
        this.heardAt = performance.now();
        const reply = message.reply;
        if (reply?.startsWith(DELIVERY) === true) this.deliver(message, reply);
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

  private deliver(message: Msg, reply: string): void {
    // $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<times>.<seq>.<delivery>.<nanoseconds>.<pending>[.<token>]
    const tokens = reply.split('.');
    const at = tokens.length === SHORT_FORM ? 5 : 7;
    const seq = Number(tokens[at]);
    const deliverySeq = Number(tokens[at + 1]);
    if (deliverySeq !== this.deliverySeq + 1) return this.stopFor('a message is missing');
    this.deliverySeq = deliverySeq;
    this.awaited--;
    const storedAtMs = Math.floor(Number(tokens[at + 2]) / 1e6);
    const pending = Number(tokens[at + 3]);
    try {
      this.options.onMessage(new DeliveredMessage(message, seq, deliverySeq, storedAtMs, pending, message.data));
    } catch (error) {
      this.stopFor(String(error));
    }
  }

  /** What the server says of our requests. */
  private hear(message: Msg): void {
    const { headers } = message;
    const code = headers?.code ?? 0;
    if (code === STATUS_HEARTBEAT) return;
    const description = headers?.description ?? '';
    // Their consumer is gone, or its leader: a new one is made sooner than this one is found out to be silent.
    if (code === STATUS_NO_RESPONDERS || code === STATUS_BAD_REQUEST) return this.stopFor(`${code} ${description}`);
    if (code === STATUS_CONFLICT && /consumer deleted|leadership change|server shutdown/i.test(description)) {
      return this.stopFor(description);
    }
    this.awaited = Math.max(0, this.awaited - Number(headers?.get('Nats-Pending-Messages') || 0));
  }

  /** There may be room again. */
  goOn(): void {
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

  private ask(batch: number): void {
    const { expiresMs, heartbeatMs } = this.options;
    this.awaited += batch;
    const request = { batch, expires: expiresMs * 1e6, idle_heartbeat: heartbeatMs * 1e6 };
    this.connection.nc.publish(this.requestSubject, JSON.stringify(request), { reply: this.inbox });
  }

  private listen(): void {
    // Without a request there is nothing to hear.
    if (this.awaited === 0) this.heardAt = performance.now();
    else if (performance.now() - this.heardAt > 2 * this.options.heartbeatMs) this.stopFor('it is silent');
  }
}
