import { parseRecord, type Names, type SessionRecord, type SessionTokens } from '#contracts';
import type { StoredMessage, StreamReader } from '#jetstream';
import { emptyHead, isDecided } from '#lanes';

export interface StoredRecord {
  /** Sequence of the record in LK_TURNS. */
  readonly recordSeq: number;
  readonly record: SessionRecord;
}

export interface PendingMessage {
  readonly seq: number;
  readonly id: string;
  readonly storedAtMs: number;
}

/** Reads what the streams hold about a session. Needs no worker, so it answers also when none runs. */
export class SessionHistory {
  constructor(
    private readonly reader: StreamReader,
    private readonly names: Names,
  ) {}

  async lastRecord(key: SessionTokens): Promise<StoredRecord | undefined> {
    const subject = this.names.turnsSubject(key);
    const { found } = await this.reader.lastPerSubject(this.names.turnsStream, [subject]);
    const last = found.get(subject);
    return last === undefined ? undefined : toRecord(last);
  }

  /** The newest records, newest first. */
  async records(key: SessionTokens, limit: number): Promise<StoredRecord[]> {
    const newest: StoredRecord[] = [];
    for await (const record of this.allRecords(key)) {
      // A note that only keeps a run (a retry, a fence) is bookkeeping, and no part of the conversation.
      if (record.record.kind === 'note' && record.record.messages.length === 0) continue;
      newest.push(record);
      if (newest.length > limit) newest.shift();
    }
    return newest.toReversed();
  }

  /** Undecided messages, oldest first. */
  async *pending(key: SessionTokens): AsyncGenerator<PendingMessage> {
    const head = (await this.lastRecord(key))?.record ?? emptyHead();
    const subject = this.names.inboxSubject(key);
    for await (const stored of this.reader.messagesOf(this.names.inboxStream, subject, head.upto + 1)) {
      if (!isDecided(head, stored.seq)) {
        yield { seq: stored.seq, id: readId(stored), storedAtMs: Date.parse(stored.header('Nats-Time-Stamp')) };
      }
    }
  }

  /** The record that decided a message; the newest one when an id was used again after its window. */
  async decisionOf(key: SessionTokens, wanted: { seq: number } | { id: string }): Promise<StoredRecord | undefined> {
    const last = await this.lastRecord(key);
    if (last === undefined) return undefined;
    if ('seq' in wanted && !isDecided(last.record, wanted.seq)) return undefined;
    if (decides(last.record, wanted)) return last;
    let found: StoredRecord | undefined;
    for await (const candidate of this.allRecords(key)) {
      if (decides(candidate.record, wanted)) found = candidate;
    }
    return found;
  }

  private async *allRecords(key: SessionTokens): AsyncGenerator<StoredRecord> {
    for await (const stored of this.reader.messagesOf(this.names.turnsStream, this.names.turnsSubject(key), 1)) {
      const record = toRecord(stored);
      if (record !== undefined) yield record;
    }
  }
}

function decides(record: SessionRecord, wanted: { seq: number } | { id: string }): boolean {
  return record.messages.some((message) => ('seq' in wanted ? message.seq === wanted.seq : message.id === wanted.id));
}

function toRecord(stored: StoredMessage): StoredRecord | undefined {
  const parsed = parseRecord(Buffer.from(stored.data).toString());
  return parsed.ok ? { recordSeq: stored.seq, record: parsed.record } : undefined;
}

function readId(stored: StoredMessage): string {
  try {
    const body = JSON.parse(Buffer.from(stored.data).toString()) as { id?: unknown } | null;
    if (typeof body?.id === 'string') return body.id;
  } catch {
    // Decided `rejected` under this id.
  }
  return `seq:${stored.seq}`;
}
