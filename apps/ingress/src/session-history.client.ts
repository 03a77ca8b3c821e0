import { HEADER, parseRecord, type Names, type SessionRecord, type SessionTokens, type TurnRecord } from '#contracts';
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

/** Up to here single steps back are cheaper than reading the whole history. */
const STEPS_BACK = 32;

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
    for await (const stored of this.backwards(key)) {
      // A note that only keeps a run (a retry, a fence) is bookkeeping, and no part of the conversation.
      if (stored.record.kind === 'note' && stored.record.messages.length === 0) continue;
      newest.push(stored);
      if (newest.length === limit) break;
    }
    return newest;
  }

  /** The last turn that has ended, when it is not far back. */
  async lastTurn(key: SessionTokens): Promise<TurnRecord | undefined> {
    let steps = 0;
    for await (const { record } of this.backwards(key)) {
      if (record.kind === 'turn') return record;
      if (++steps === STEPS_BACK) return undefined;
    }
    return undefined;
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
    // What is asked for is mostly recent.
    let steps = 0;
    for await (const candidate of this.backwards(key)) {
      // Undecided at this record: undecided in all before it.
      if ('seq' in wanted && !isDecided(candidate.record, wanted.seq)) return undefined;
      if (decides(candidate.record, wanted)) return candidate;
      if (++steps === STEPS_BACK) break;
    }
    if (steps < STEPS_BACK) return undefined;
    let found: StoredRecord | undefined;
    for await (const candidate of this.allRecords(key)) {
      if (decides(candidate.record, wanted)) found = candidate;
    }
    return found;
  }

  /** From the last record on: each one names its predecessor, since its write was conditional on it. */
  private async *backwards(key: SessionTokens): AsyncGenerator<StoredRecord> {
    const { turnsStream } = this.names;
    const subject = this.names.turnsSubject(key);
    let stored = (await this.reader.lastPerSubject(turnsStream, [subject])).found.get(subject);
    while (stored?.subject === subject) {
      const record = toRecord(stored);
      if (record !== undefined) yield record;
      const before = Number(stored.header(HEADER.expectedLastSubjectSequence) || 0);
      stored = before > 0 && before < stored.seq ? await this.reader.message(turnsStream, before) : undefined;
    }
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
