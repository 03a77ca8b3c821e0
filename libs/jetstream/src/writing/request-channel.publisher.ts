import {
  createInbox,
  headers as natsHeaders,
  type Msg,
  type MsgHdrs,
  type Subscription,
} from '@nats-io/transport-node';
import { AnswerPatience } from '../connection/answer-patience.js';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import { WireBatch } from './wire-batch.publisher.js';

/** Why a request has no answer. */
export type NoAnswer =
  /** It can never be sent: it is larger than the server accepts, or not a valid message. */
  | { readonly kind: 'unsendable'; readonly description: string }
  /** Certainly not sent. */
  | { readonly kind: 'unsent'; readonly why: 'disconnected' }
  /** Sent, but no answer came. */
  | { readonly kind: 'unknown'; readonly why: 'timeout' | 'disconnected' };

export interface RequestChannelOptions<Answer> {
  /** How long to wait for an answer. */
  readonly timeoutMs: number;
  /** The longest wait when answers come late - default: it never waits longer. */
  readonly longestMs?: number | undefined;
  readonly read: (message: Msg) => Answer;
}

/** A request that waits for its answer; reused for another request afterwards. */
interface Place<Answer> {
  readonly number: number;
  /** Names its present use on the wire; 0 = it is free. */
  serial: number;
  settle: (outcome: Answer | NoAnswer) => void;
  sentAt: number;
  deadline: number;
}

/** A request that goes out with the next write. */
interface Outgoing<Answer> {
  readonly place: Place<Answer>;
  readonly serial: number;
  readonly subject: string;
  readonly body: Uint8Array | string;
  readonly headers: Record<string, string>;
}

/**
 * The server's `max_control_line`, which it does not announce: a longer line costs the whole connection. A foreign publisher
 * can put a subject nearly as long into the inbox.
 */
const MAX_CONTROL_LINE_BYTES = 4_096;
/** Room for the two lengths after the subject and the reply, and the separators. */
const LENGTHS_BYTES = 24;
const SWEEP_MS = 250;
/** So many free places are kept; more, from a flood, are dropped when it is over. */
const KEPT_PLACES = 1_024;
const nothing = (): void => {};

/**
 * Requests that share one reply subscription, one timeout sweeper, and one write for each turn of the event loop, instead of a
 * request object, a timer and a system call each.
 *
 *   free --send--> waiting --an answer to its serial, its time is over, the connection is lost--> free
 */
export class RequestChannel<Answer> {
  private readonly inbox = createInbox();
  /**
   * By their numbers. Not a `Map`: tables that it has outgrown keep what went through them in memory until the next full
   * collection, since each of them refers to the next (see `RunTable` of the lanes).
   */
  private readonly places: Place<Answer>[] = [];
  private readonly free: Place<Answer>[] = [];
  private readonly subscription: Subscription;
  private readonly sweeper: NodeJS.Timeout;
  private readonly forgetDown: () => void;
  private outgoing: Outgoing<Answer>[] = [];
  /** No number is used twice: a late answer must not count for the next request in its place. */
  private serial = 0;
  private isClosed = false;
  private readonly patience: AnswerPatience | undefined;

  constructor(
    private readonly connection: BrokerConnection,
    private readonly options: RequestChannelOptions<Answer>,
  ) {
    const { timeoutMs, longestMs } = options;
    this.patience = longestMs === undefined ? undefined : new AnswerPatience(timeoutMs, longestMs);
    this.subscription = connection.nc.subscribe(`${this.inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.answer(message);
      },
    });
    this.sweeper = setInterval(() => this.sweep(), SWEEP_MS);
    this.sweeper.unref();
    this.forgetDown = connection.onDown(() => this.settleAll({ kind: 'unknown', why: 'disconnected' }));
  }

  /** How many requests wait for their answer. */
  get pending(): number {
    return this.places.length - this.free.length;
  }

  /** `settle` is called once, perhaps at once. */
  send(
    subject: string,
    body: Uint8Array | string,
    headers: Record<string, string>,
    settle: (outcome: Answer | NoAnswer) => void,
  ): void {
    if (this.isClosed || !this.connection.isUp) return settle({ kind: 'unsent', why: 'disconnected' });
    const place = this.free.pop() ?? this.addPlace();
    const serial = ++this.serial;
    place.serial = serial;
    place.settle = settle;
    place.sentAt = performance.now();
    place.deadline = place.sentAt + (this.patience?.ms ?? this.options.timeoutMs);
    this.outgoing.push({ place, serial, subject, body, headers });
    // The client writes at the end of every microtask queue. Instead, everything sent in one turn of the event loop shares one
    // write: a system call each was a third of what ingress did (docs/bench.md).
    if (this.outgoing.length === 1) setImmediate(() => this.flush());
  }

  close(): void {
    this.isClosed = true;
    clearInterval(this.sweeper);
    this.forgetDown();
    this.subscription.unsubscribe();
    this.settleAll({ kind: 'unknown', why: 'disconnected' });
  }

  private flush(): void {
    const { outgoing } = this;
    this.outgoing = [];
    const { nc } = this.connection;
    // The connection cannot change between here and the write: all of it is one synchronous call.
    const wire = this.connection.isUp ? new WireBatch(nc) : undefined;
    for (const request of outgoing) {
      const { place, serial, subject, body, headers } = request;
      // Settled in between: the connection was lost or closed.
      if (place.serial !== serial) continue;
      const reply = `${this.inbox}.${place.number}-${serial}`;
      if (isTooLong(subject, reply)) {
        this.settle(place, serial, { kind: 'unsendable', description: 'the subject is longer than the server takes' });
        continue;
      }
      try {
        if (wire?.add(subject, reply, headers, body) === true) continue;
        // First write what is pending, to keep the order of sending.
        wire?.write();
        nc.publish(subject, body, { ...clientHeaders(headers), reply });
      } catch (error) {
        // It has not left the process: the connection was closed, or the client refuses the message itself.
        const isClosed = nc.isClosed();
        this.settle(
          place,
          serial,
          isClosed ? { kind: 'unsent', why: 'disconnected' } : { kind: 'unsendable', description: String(error) },
        );
      }
    }
    wire?.write();
  }

  private answer(message: Msg): void {
    const token = message.subject.slice(this.inbox.length + 1);
    const dash = token.indexOf('-');
    const place = this.places[Number(token.slice(0, dash))];
    const serial = Number(token.slice(dash + 1));
    // 0 is never one of ours: a free place would be freed twice, and the first of its next two requests would never be settled.
    if (serial === 0 || place?.serial !== serial) return this.patience?.heardLate(serial, performance.now());
    this.patience?.heard(performance.now() - place.sentAt, performance.now());
    let answer: Answer;
    try {
      answer = this.options.read(message);
    } catch {
      // Unreadable: treat it as no answer. If thrown on, the error would end the client's reading of the whole connection.
      return;
    }
    this.settle(place, serial, answer);
  }

  private addPlace(): Place<Answer> {
    const place = { number: this.places.length, serial: 0, settle: nothing, sentAt: 0, deadline: 0 };
    this.places.push(place);
    return place;
  }

  private settle(place: Place<Answer>, serial: number, outcome: Answer | NoAnswer): void {
    // A callback before it, in the same sweep, has closed the channel or sent the next request in this place.
    if (place.serial !== serial) return;
    const { settle } = place;
    place.serial = 0;
    place.settle = nothing;
    this.free.push(place);
    try {
      settle(outcome);
    } catch (error) {
      // Our callers are the client's reader and a sweep, in which others wait too. So the error becomes an unhandled
      // rejection instead.
      void Promise.reject(error);
    }
  }

  private sweep(): void {
    const now = performance.now();
    const isOverdue = (place: Place<Answer>): boolean => place.deadline <= now;
    if (this.patience !== undefined) {
      for (const place of this.places)
        if (place.serial !== 0 && isOverdue(place)) this.patience.gaveUp(place.serial, place.sentAt, now);
    }
    this.settleSome(isOverdue, { kind: 'unknown', why: 'timeout' });
    if (this.pending > 0 || this.places.length <= KEPT_PLACES) return;
    this.places.length = KEPT_PLACES;
    this.free.splice(0, this.free.length, ...this.places);
  }

  private settleAll(outcome: NoAnswer): void {
    this.settleSome(() => true, outcome);
  }

  /** In the order of sending. */
  private settleSome(matches: (place: Place<Answer>) => boolean, outcome: NoAnswer): void {
    const meant = this.places.filter((place) => place.serial !== 0 && matches(place));
    const waiting = meant.map((place) => ({ place, serial: place.serial }));
    waiting.sort((a, b) => a.serial - b.serial);
    for (const { place, serial } of waiting) this.settle(place, serial, outcome);
  }
}

function isTooLong(subject: string, reply: string): boolean {
  const maxBytes = MAX_CONTROL_LINE_BYTES - LENGTHS_BYTES - reply.length;
  // A UTF-16 unit takes at most three bytes.
  return subject.length * 3 > maxBytes && Buffer.byteLength(subject) > maxBytes;
}

function clientHeaders(headers: Record<string, string>): { headers?: MsgHdrs } {
  const names = Object.keys(headers);
  if (names.length === 0) return {};
  const made = natsHeaders();
  for (const name of names) made.set(name, headers[name] as string);
  return { headers: made };
}
