import {
  decodeToken,
  HEADER,
  parseInboxEntry,
  parseRecord,
  parseTurnStarted,
  sessionTaskKey,
  type InboxMessage,
  type Names,
} from '#contracts';
import type { TaskEvent } from '#guards';
import { BrokerConnection, StreamReader, type StoredMessage } from '#jetstream';
import { createLogger } from '#telemetry';
import { until } from '#testing';
import type { DeadLine, InboxLine, RecordLine, StartLine } from './history.js';
import type { HandlerTask } from './tasks.js';

const READ_WITHIN_MS = 60_000;

/** As its worker told it: `at` is by its own clock, `storedAt` by the broker's. */
export interface StoredStart extends StartLine {
  readonly storedAt: number;
}

/** Reads what the streams hold; each call goes on where the one before ended. */
export class StreamHistory implements AsyncDisposable {
  readonly inbox: InboxLine[] = [];
  readonly records: RecordLine[] = [];
  readonly dead: DeadLine[] = [];
  readonly starts: StoredStart[] = [];
  /** Of tasks, as far as a caller could be told. */
  readonly taskEvents: TaskEvent[] = [];
  private inboxSeq = 0;
  private turnsSeq = 0;

  private constructor(
    private readonly connection: BrokerConnection,
    private readonly reader: StreamReader,
    private readonly names: Names,
  ) {}

  static async open(names: Names, url: string): Promise<StreamHistory> {
    const log = createLogger({ level: 'error', service: 'chaos' });
    const connection = await BrokerConnection.open({ url, name: 'chaos', log });
    return new StreamHistory(connection, new StreamReader(connection), names);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.close();
  }

  async readAll(): Promise<void> {
    await this.readInbox();
    await this.readRecords();
    await this.readDead();
    await this.readEvents();
  }

  async readInbox(): Promise<void> {
    const { inboxStream, namespace } = this.names;
    const from = this.inboxSeq + 1;
    this.inboxSeq = await this.each(inboxStream, `${namespace}.inbox.>`, from, (stored) =>
      this.inbox.push(this.inboxLine(stored)),
    );
  }

  async readRecords(): Promise<void> {
    const { turnsStream, namespace } = this.names;
    const from = this.turnsSeq + 1;
    this.turnsSeq = await this.each(turnsStream, `${namespace}.turns.>`, from, (stored) =>
      this.records.push(this.recordLine(stored)),
    );
  }

  private async readDead(): Promise<void> {
    const { deadStream, namespace } = this.names;
    await this.each(deadStream, `${namespace}.dead.>`, 1, ({ subject }) =>
      this.dead.push({ session: this.sessionOf(subject), seq: Number(subject.split('.').at(-1)) }),
    );
  }

  private async readEvents(): Promise<void> {
    const { eventsStream, namespace } = this.names;
    await this.each(eventsStream, `${namespace}.events.>`, 1, ({ subject, data, storedAtMs: storedAt }) => {
      if (subject.endsWith('.task')) this.taskEvents.push(JSON.parse(Buffer.from(data).toString()) as TaskEvent);
      const started = parseTurnStarted(Buffer.from(data).toString());
      if (started === undefined) return;
      const { runId, attempt, worker: incarnation, at } = started;
      this.starts.push({ runId, attempt, incarnation, at, storedAt });
    });
  }

  /** What is in the inbox and in no record yet. */
  undecided(): InboxLine[] {
    const decided = new Set(this.records.flatMap(({ record }) => record.messages.map(({ seq }) => seq)));
    return this.inbox.filter(({ seq }) => !decided.has(seq));
  }

  /** Answers the stream's last sequence, up to which everything was read. */
  private async each(
    stream: string,
    subject: string,
    from: number,
    take: (stored: StoredMessage) => void,
  ): Promise<number> {
    const last = await this.reader.leaderLastSeq(stream);
    let next = from;
    // A replica that is behind does not have the end yet.
    await until(
      `${stream} is read up to ${last}`,
      async () => {
        for await (const stored of this.reader.messagesOf(stream, subject, next)) {
          // What came behind it is read the next time: a replica may have it and not what is before it.
          if (stored.seq > last) break;
          next = stored.seq + 1;
          take(stored);
        }
        return next > last;
      },
      { timeoutMs: READ_WITHIN_MS },
    );
    return last;
  }

  private inboxLine({ subject, seq, storedAtMs: at, data }: StoredMessage): InboxLine {
    const parsed = parseInboxEntry(Buffer.from(data).toString());
    if (!parsed.ok) throw new Error(`inbox message ${seq} cannot be read: ${parsed.problem}`);
    const { message } = parsed;
    const session = this.sessionOf(subject);
    const line = { session, seq, id: message.id, at };
    if (message.kind === 'control') return { ...line, thread: '', cancels: message.target };
    const { runs } = (message.data?.value ?? {}) as { runs?: HandlerTask };
    const task = runs === undefined ? taskKeyOf(session, message) : sessionTaskKey(runs, { agent: 'hands', session });
    return {
      ...{ ...line, thread: message.thread ?? '' },
      ...(task === undefined ? {} : { task }),
      ...(runs?.whenUnavailable === 'open' ? { mayBeUnguarded: true } : {}),
    };
  }

  private recordLine({ subject, seq, storedAtMs: at, data, header }: StoredMessage): RecordLine {
    const parsed = parseRecord(Buffer.from(data).toString());
    if (!parsed.ok) throw new Error(`record ${seq} cannot be read: ${parsed.problem}`);
    // None: then it was written on whatever stood there, and no chain has such a link.
    const expected = Number(header(HEADER.expectedLastSubjectSequence) || -1);
    return { session: this.sessionOf(subject), seq, at, expected, record: parsed.record };
  }

  private sessionOf(subject: string): string {
    return decodeToken(this.names.parseSessionSubject(subject).sessionToken) ?? subject;
  }
}

function taskKeyOf(session: string, { task }: Pick<InboxMessage, 'task'>): string | undefined {
  return task === undefined ? undefined : sessionTaskKey(task, { agent: 'main', session });
}
