import { createInbox, headers as natsHeaders, type Msg, type Subscription } from '@nats-io/transport-node';
import type { BrokerConnection } from './nats-connection.client.js';
import { WireBatch } from './wire-batch.js';

/**
 * JetStream publishes that share one reply subscription and one timeout sweeper, instead of a request object and a timer
 * each (measured: 37-51,000 commits a second against 27,000 with `js.publish`).
 *
 * The outcome of a publish is a value, since each of the four asks for something else from its caller.
 */
export type PublishOutcome =
  | { readonly kind: 'stored'; readonly seq: number; readonly duplicate: boolean }
  /** The server answered with an error: not stored by this try. */
  | { readonly kind: 'refused'; readonly code: number; readonly description: string }
  /** It can never be sent: it is larger than the server takes, or no valid message. */
  | { readonly kind: 'unsendable'; readonly description: string }
  /** Certainly not stored: nothing was sent, or nobody listened. */
  | { readonly kind: 'unsent'; readonly why: 'disconnected' | 'no-responders' }
  /** Sent, but no answer came: it may be stored. */
  | { readonly kind: 'unknown'; readonly why: 'timeout' | 'disconnected' };

export interface PublishChannelOptions {
  /** How long an answer is awaited. Default 5000 ms. */
  readonly timeoutMs?: number;
}

/** A publish whose answer is awaited; used again for another one when that has come. */
interface InFlight {
  readonly place: number;
  /** Names this use of it on the wire, beside its place. */
  use: number;
  isFree: boolean;
  settle: (outcome: PublishOutcome) => void;
  deadline: number;
}

/** A publish that goes out with the next write. */
interface Outgoing {
  readonly waiting: InFlight;
  readonly use: number;
  readonly subject: string;
  readonly body: Uint8Array | string;
  readonly headers: Record<string, string>;
}

const SWEEP_MS = 250;
/** No answer is so late that its place has been used so often since. */
const USES = 2 ** 30;
const nobody = (): void => {};
const NO_RESPONDERS = 503;

export class PublishChannel {
  private readonly inbox = createInbox();
  /**
   * By their places. No `Map`: its outgrown tables keep what went through it in memory until the next full collection, as
   * each of them holds the next (see `RunTable` of the lanes).
   */
  private readonly places: InFlight[] = [];
  private readonly free: InFlight[] = [];
  private readonly subscription: Subscription;
  private readonly sweeper: NodeJS.Timeout;
  private readonly forgetDown: () => void;
  private readonly timeoutMs: number;
  private outgoing: Outgoing[] = [];

  constructor(
    private readonly connection: BrokerConnection,
    options: PublishChannelOptions = {},
  ) {
    this.timeoutMs = options.timeoutMs ?? 5_000;
    this.subscription = connection.nc.subscribe(`${this.inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.answer(message);
      },
    });
    this.sweeper = setInterval(() => this.sweep(), SWEEP_MS);
    this.sweeper.unref();
    this.forgetDown = connection.onDown(() => this.settleAll({ kind: 'unknown', why: 'disconnected' }));
  }

  /** How many publishes wait for their answer. */
  get pending(): number {
    return this.places.length - this.free.length;
  }

  publish(subject: string, body: Uint8Array | string, headers: Record<string, string>): Promise<PublishOutcome> {
    return new Promise((settle) => this.send(subject, body, headers, settle));
  }

  /** As `publish`, without a promise. `settle` is called once, perhaps at once. */
  send(
    subject: string,
    body: Uint8Array | string,
    headers: Record<string, string>,
    settle: (outcome: PublishOutcome) => void,
  ): void {
    if (!this.connection.isUp) return settle({ kind: 'unsent', why: 'disconnected' });
    const waiting = this.free.pop() ?? this.addPlace();
    waiting.use = (waiting.use + 1) % USES;
    waiting.isFree = false;
    waiting.settle = settle;
    waiting.deadline = performance.now() + this.timeoutMs;
    this.outgoing.push({ waiting, use: waiting.use, subject, body, headers });
    // The client writes at the end of every microtask queue. What one turn of the event loop publishes shares one write
    // instead: a system call each was a third of what ingress did (docs/bench.md).
    if (this.outgoing.length === 1) setImmediate(() => this.flush());
  }

  close(): void {
    clearInterval(this.sweeper);
    this.forgetDown();
    this.subscription.unsubscribe();
    this.settleAll({ kind: 'unknown', why: 'disconnected' });
  }

  private flush(): void {
    const { outgoing } = this;
    this.outgoing = [];
    const { nc } = this.connection;
    const wire = this.connection.isUp ? new WireBatch(nc) : undefined;
    for (const { waiting, use, subject, body, headers } of outgoing) {
      // Settled in between: the connection was lost or closed.
      if (waiting.isFree || waiting.use !== use) continue;
      const reply = `${this.inbox}.${waiting.place}-${use}`;
      if (wire?.add(subject, reply, headers, body) === true) continue;
      try {
        const wireHeaders = natsHeaders();
        for (const name in headers) wireHeaders.set(name, headers[name] as string);
        nc.publish(subject, body, { headers: wireHeaders, reply });
      } catch (error) {
        // Nothing has left the process: the connection was closed, or the client refuses the message itself.
        const isClosed = nc.isClosed();
        this.settle(
          waiting,
          isClosed ? { kind: 'unsent', why: 'disconnected' } : { kind: 'unsendable', description: String(error) },
        );
      }
    }
    wire?.write();
  }

  private answer(message: Msg): void {
    const token = message.subject.slice(this.inbox.length + 1);
    const dash = token.indexOf('-');
    const waiting = this.places[Number(token.slice(0, dash))];
    if (waiting === undefined || waiting.isFree || waiting.use !== Number(token.slice(dash + 1))) return;
    this.settle(waiting, readAnswer(message));
  }

  private addPlace(): InFlight {
    const waiting = { place: this.places.length, use: 0, isFree: true, settle: nobody, deadline: 0 };
    this.places.push(waiting);
    return waiting;
  }

  private settle(waiting: InFlight, outcome: PublishOutcome): void {
    const { settle } = waiting;
    waiting.isFree = true;
    waiting.settle = nobody;
    this.free.push(waiting);
    settle(outcome);
  }

  private sweep(): void {
    const now = performance.now();
    this.settleSome((waiting) => waiting.deadline <= now, { kind: 'unknown', why: 'timeout' });
  }

  private settleAll(outcome: PublishOutcome): void {
    this.settleSome(() => true, outcome);
  }

  /** In the order in which they were published. */
  private settleSome(isMeant: (waiting: InFlight) => boolean, outcome: PublishOutcome): void {
    const meant = this.places.filter((waiting) => !waiting.isFree && isMeant(waiting));
    for (const waiting of meant.toSorted((a, b) => a.deadline - b.deadline)) this.settle(waiting, outcome);
  }
}

interface PubAck {
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly code?: number; readonly err_code?: number; readonly description?: string };
}

function readAnswer(message: Msg): PublishOutcome {
  if (message.data.length === 0 && message.headers?.code === NO_RESPONDERS) {
    return { kind: 'unsent', why: 'no-responders' };
  }
  const text = Buffer.from(message.data.buffer, message.data.byteOffset, message.data.length).toString('latin1');
  const seq = storedSeq(text);
  if (seq !== undefined) return { kind: 'stored', seq, duplicate: false };
  const ack = message.json<PubAck>();
  if (ack.error !== undefined) {
    return {
      kind: 'refused',
      code: ack.error.err_code ?? ack.error.code ?? 0,
      description: ack.error.description ?? 'no description',
    };
  }
  return { kind: 'stored', seq: ack.seq ?? 0, duplicate: ack.duplicate === true };
}

/** Of the answer that nearly all get: `{"stream":"…","seq":1}`. */
function storedSeq(text: string): number | undefined {
  if (!text.startsWith('{"stream":"')) return undefined;
  const digits = text.slice(text.lastIndexOf('"seq":') + 6, -1);
  return /^[1-9]\d{0,15}$/.test(digits) ? Number(digits) : undefined;
}
