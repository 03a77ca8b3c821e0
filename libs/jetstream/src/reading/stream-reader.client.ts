import { createInbox, type Msg } from '@nats-io/transport-node';
import { LanekeeperError } from '#contracts';
import { BrokerAwayError } from '../connection/broker-away-error.js';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import { inShortTries } from '../connection/patience.client.js';
import { RawHeaders } from './raw-headers.client.js';
import { RequestChannel, type NoAnswer } from '../writing/request-channel.publisher.js';

/** A message as it is stored in a stream. */
export interface StoredMessage {
  readonly subject: string;
  readonly seq: number;
  /** The broker's clock, ms since the epoch. */
  readonly storedAtMs: number;
  readonly data: Uint8Array;
  header(name: string): string;
}

/** The last message per subject, and up to which sequence of the stream the answering replica had read. */
export interface LastPerSubject {
  readonly found: Map<string, StoredMessage>;
  /** `undefined` when some answer found no subject: then the server does not say it. */
  readonly upToSeq: number | undefined;
}

export interface StreamReaderOptions {
  /** How long to wait for an answer; reads from the leader make several short tries in it. Default 5000 ms. */
  readonly timeoutMs?: number;
  /** Reads from any replica use short tries too: for small reads that must not wait for a replica that is away. */
  readonly asksAgain?: boolean;
}

const MESSAGES_PER_REQUEST = 256;
/** Far below the server's 64 MB per connection: beyond that it cuts off the reader, and every publish with it. */
const BYTES_PER_REQUEST = 1024 * 1024;
const NO_RESULTS = 404;
const END_OF_BATCH = 204;
const NO_RESPONDERS = 503;

/**
 * Reads streams without a consumer. Any replica may answer a direct get, so the answer can be behind; the `leader…` methods
 * ask the stream's leader, and only they may judge a commit. A read without an answer rejects with `BrokerAwayError`.
 */
export class StreamReader {
  private readonly timeoutMs: number;
  private readonly asksAgain: boolean;
  private oneByOne: RequestChannel<GotOne> | undefined;

  constructor(
    private readonly connection: BrokerConnection,
    { timeoutMs = 5_000, asksAgain = false }: StreamReaderOptions = {},
  ) {
    this.timeoutMs = timeoutMs;
    this.asksAgain = asksAgain;
  }

  /**
   * At most 1,024 subjects (the server answers 413 above). What an answer left out for lack of space is requested again; of a
   * wildcard only what fits into one answer (512 KiB) is found.
   */
  async lastPerSubject(stream: string, subjects: readonly string[]): Promise<LastPerSubject> {
    const found = new Map<string, StoredMessage>();
    let upToSeq: number | undefined = Number.MAX_SAFE_INTEGER;
    let missing = subjects;
    for (;;) {
      const batch = await this.directGet(stream, { multi_last: missing });
      const before = found.size;
      for (const message of batch.messages) found.set(message.subject, message);
      // Each answer may come from another replica. A replica that finds none of the remaining subjects does not have them yet.
      if (batch.upToSeq === undefined) upToSeq = undefined;
      else if (upToSeq !== undefined) upToSeq = Math.min(upToSeq, batch.upToSeq);
      if (batch.leftOut === 0 || found.size === before) return { found, upToSeq };
      missing = missing.filter((subject) => !found.has(subject));
    }
  }

  /**
   * The last message of one subject, without wildcards. One answer, which does not say how far the replica has read
   * (`lastPerSubject` does); in exchange it takes half the time, and half the work even when many are asked for.
   */
  last(stream: string, subject: string): Promise<StoredMessage | undefined> {
    return new Promise((resolve, reject) => {
      const from = `${this.connection.apiPrefix}.DIRECT.GET.${stream}.${subject}`;
      this.singles.send(from, '', {}, (answer) => {
        if ('found' in answer) resolve(answer.found);
        else if (answer.kind === 'refused' || answer.kind === 'unsendable') reject(refused(answer.description));
        else reject(new BrokerAwayError());
      });
    });
  }

  /** All messages of a subject from a sequence on, oldest first, fetched as the caller iterates. */
  async *messagesOf(stream: string, subject: string, fromSeq: number): AsyncGenerator<StoredMessage> {
    let seq = Math.max(1, fromSeq);
    for (;;) {
      const batch = await this.directGet(stream, {
        seq,
        next_by_subj: subject,
        batch: MESSAGES_PER_REQUEST,
        max_bytes: BYTES_PER_REQUEST,
      });
      yield* batch.messages;
      const last = batch.messages.at(-1);
      if (last === undefined || batch.leftOut === 0) return;
      seq = last.seq + 1;
    }
  }

  /** The first message of the subject at or after a sequence, from the leader. */
  async leaderNext(stream: string, subject: string, fromSeq: number): Promise<StoredMessage | undefined> {
    return this.leaderGet(stream, { seq: Math.max(1, fromSeq), next_by_subj: subject });
  }

  /** The last message of the subject, from the leader. */
  async leaderLast(stream: string, subject: string): Promise<StoredMessage | undefined> {
    return this.leaderGet(stream, { last_by_subj: subject });
  }

  /** The message with that sequence, from the leader. */
  async leaderMessage(stream: string, seq: number): Promise<StoredMessage | undefined> {
    return this.leaderGet(stream, { seq });
  }

  /**
   * The first message that was stored at that time or later, by the broker's clock. A lagging replica answers with the right
   * message or with none.
   */
  async firstSince(stream: string, sinceMs: number): Promise<StoredMessage | undefined> {
    const request = { batch: 1, next_by_subj: '>', start_time: new Date(sinceMs).toISOString() };
    return (await this.directGet(stream, request)).messages[0];
  }

  async message(stream: string, seq: number): Promise<StoredMessage | undefined> {
    const batch = await this.directGet(stream, { seq });
    return batch.messages[0];
  }

  async leaderLastSeq(stream: string): Promise<number> {
    const info = await inShortTries(() => this.connection.jsm.streams.info(stream), this.timeoutMs);
    return info.state.last_seq;
  }

  /** Created at the first use, closed with the connection. */
  private get singles(): RequestChannel<GotOne> {
    if (this.oneByOne !== undefined) return this.oneByOne;
    const channel = new RequestChannel<GotOne>(this.connection, { timeoutMs: this.timeoutMs, read: readOne });
    void this.connection.nc.closed().then(() => channel.close());
    return (this.oneByOne = channel);
  }

  private async leaderGet(
    stream: string,
    query: { seq: number } | { seq: number; next_by_subj: string } | { last_by_subj: string },
  ): Promise<StoredMessage | undefined> {
    const message = await inShortTries(() => this.connection.jsm.streams.getMessage(stream, query), this.timeoutMs);
    if (message === null) return undefined;
    return {
      subject: message.subject,
      seq: message.seq,
      storedAtMs: message.time.getTime(),
      data: message.data,
      header: (name) => message.header.get(name),
    };
  }

  private directGet(stream: string, request: object): Promise<DirectBatch> {
    const ask = (): Promise<DirectBatch> => this.directGetOnce(stream, request);
    return this.asksAgain ? inShortTries(ask, this.timeoutMs) : ask();
  }

  private async directGetOnce(stream: string, request: object): Promise<DirectBatch> {
    const { nc } = this.connection;
    if (!this.connection.isUp) throw new BrokerAwayError();
    return new Promise((resolve, reject) => {
      const batch = new DirectBatch();
      const inbox = createInbox();
      const subscription = nc.subscribe(inbox, {
        callback: (error, message) => {
          if (error !== null) return finish(() => reject(error));
          try {
            if (batch.add(message)) finish(() => resolve(batch));
          } catch (problem) {
            finish(() => reject(problem));
          }
        },
      });
      const forgetDown = this.connection.onDown(() => finish(() => reject(new BrokerAwayError())));
      const timer = setTimeout(() => finish(() => reject(new BrokerAwayError())), this.timeoutMs);
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        forgetDown();
        subscription.unsubscribe();
        settle();
      };
      nc.publish(`${this.connection.apiPrefix}.DIRECT.GET.${stream}`, JSON.stringify(request), { reply: inbox });
    });
  }
}

function refused(why: string): LanekeeperError {
  return new LanekeeperError('read_refused', `the broker refused a read: ${why}`);
}

/** The server's answer to a direct get of one message. */
type GotOne =
  { readonly found: StoredMessage | undefined } | { readonly kind: 'refused'; readonly description: string } | NoAnswer;

function readOne(message: Msg): GotOne {
  const headers = new RawHeaders(message);
  const { code } = headers;
  if (code === 0) return { found: new GotMessage(message, headers) };
  if (code === NO_RESULTS) return { found: undefined };
  if (code === NO_RESPONDERS) return { kind: 'unsent', why: 'disconnected' };
  return { kind: 'refused', description: `${code} ${message.headers?.description ?? ''}` };
}

/** Parsed on demand: of a head only its sequence and its body are used. */
class GotMessage implements StoredMessage {
  readonly seq: number;

  constructor(
    private readonly message: Msg,
    private readonly headers: RawHeaders,
  ) {
    this.seq = Number(headers.get('Nats-Sequence'));
  }

  get subject(): string {
    return this.headers.get('Nats-Subject');
  }

  get storedAtMs(): number {
    return Date.parse(this.headers.get('Nats-Time-Stamp'));
  }

  get data(): Uint8Array {
    return this.message.data;
  }

  header(name: string): string {
    return this.headers.get(name);
  }
}

class DirectBatch {
  readonly messages: StoredMessage[] = [];
  leftOut = 0;
  upToSeq: number | undefined;

  /** Takes the next answer; true when it was the last one. */
  add(message: Msg): boolean {
    const headers = message.headers;
    const code = headers?.code ?? 0;
    if (code === NO_RESULTS) return true;
    if (code === END_OF_BATCH) {
      this.leftOut = Number(headers?.get('Nats-Num-Pending') || 0);
      this.upToSeq = Number(headers?.get('Nats-UpTo-Sequence') || 0) || undefined;
      return true;
    }
    if (code === NO_RESPONDERS) throw new BrokerAwayError();
    if (code >= 400 || headers === undefined) {
      throw refused(`${code} ${headers?.description ?? ''}`);
    }
    this.messages.push({
      subject: headers.get('Nats-Subject'),
      seq: Number(headers.get('Nats-Sequence')),
      storedAtMs: Date.parse(headers.get('Nats-Time-Stamp')),
      data: message.data,
      header: (name) => headers.get(name),
    });
    // A plain get by sequence has one answer and no end mark; a batch counts down the remaining messages.
    return !headers.has('Nats-Num-Pending');
  }
}
