import {
  HEADER,
  highestOfHead,
  decodeUtf8,
  parseRecord,
  unreadableId,
  type Names,
  type RunInWork,
  type SessionRecord,
  type SessionTokens,
  type TurnRecord,
  emptyHead,
  isDecided,
} from '#contracts';
import type { StoredMessage, StreamLookup } from '#jetstream';

export interface StoredRecord {
  /** Sequence of the record in LK_TURNS. */
  readonly recordSeq: number;
  /** The broker's clock, ms since the epoch. */
  readonly storedAtMs: number;
  readonly record: SessionRecord;
}

export interface PendingMessage {
  readonly seq: number;
  readonly id: string;
  readonly storedAtMs: number;
}

/** An undecided entry of the inbox. */
interface UndecidedEntry extends PendingMessage {
  /** An order to the lane: no message, and no message waits for it. */
  readonly isControl: boolean;
}

/** Up to this number single steps back are cheaper than a read of the whole history. */
const STEPS_BACK = 32;

/**
 * Reads what the streams hold about a session. It needs no worker, so it answers also when none runs. The lookup that it reads
 * with says whether a record that is not found may still be on its way to a replica.
 */
export class SessionHistory {
  constructor(
    private readonly lookup: StreamLookup,
    private readonly names: Names,
  ) {}

  async lastRecord(key: SessionTokens): Promise<StoredRecord | undefined> {
    const last = await this.lookup.last(this.names.turnsStream, this.names.turnsSubject(key));
    return last === undefined ? undefined : toRecord(last);
  }

  /** Whether the streams hold a message or a record of it. */
  async hasSession(key: SessionTokens): Promise<boolean> {
    const { inboxStream } = this.names;
    if ((await this.lookup.last(inboxStream, this.names.inboxSubject(key))) !== undefined) return true;
    return (await this.lastRecord(key)) !== undefined;
  }

  /** The run of an undecided message that a record names: it failed or was cut, and is retried. */
  async runInWork(key: SessionTokens, seq: number): Promise<RunInWork | undefined> {
    const { run, runs = [] } = (await this.lastRecord(key))?.record ?? emptyHead();
    return [...(run === null ? [] : [run]), ...runs].find(({ seqs }) => seqs.includes(seq));
  }

  /** The newest records, newest first. */
  async records(key: SessionTokens, limit: number): Promise<StoredRecord[]> {
    const newest: StoredRecord[] = [];
    for await (const stored of this.newestFirst(key)) {
      if (isBookkeeping(stored.record)) continue;
      newest.push(stored);
      if (newest.length === limit) break;
    }
    return newest;
  }

  /** The last turn that has ended, when it is not far back. */
  async lastTurn(key: SessionTokens): Promise<TurnRecord | undefined> {
    let steps = 0;
    for await (const { record } of this.newestFirst(key)) {
      if (record.kind === 'turn') return record;
      if (++steps === STEPS_BACK) return undefined;
    }
    return undefined;
  }

  /** Undecided messages, oldest first. */
  async *pending(key: SessionTokens): AsyncGenerator<PendingMessage> {
    for await (const { isControl, ...message } of this.undecided(key)) if (!isControl) yield message;
  }

  /** Everything undecided, oldest first. */
  async *undecided(key: SessionTokens): AsyncGenerator<UndecidedEntry> {
    const head = (await this.lastRecord(key))?.record ?? emptyHead();
    const subject = this.names.inboxSubject(key);
    for await (const stored of this.lookup.messagesOf(this.names.inboxStream, subject, head.upto + 1)) {
      if (!isDecided(head, stored.seq)) {
        yield { seq: stored.seq, storedAtMs: stored.storedAtMs, ...readIdAndKind(stored) };
      }
    }
  }

  /** The record that decided a message; the newest one when an id was used again after its window. */
  async decisionOf(key: SessionTokens, wanted: { seq: number } | { id: string }): Promise<StoredRecord | undefined> {
    return this.newest(
      key,
      (record) => decides(record, wanted),
      // Undecided at this record: undecided in all records before it.
      (record) => 'seq' in wanted && !isDecided(record, wanted.seq),
    );
  }

  /** The record that ended a run; `firstSeq` is the first sequence of its batch. */
  async endOfRun(key: SessionTokens, runId: string, firstSeq: number): Promise<StoredRecord | undefined> {
    return this.newest(
      key,
      (record) => record.kind === 'turn' && record.runId === runId,
      (record) => highestOfHead(record) < firstSeq,
    );
  }

  /** When an entry of the inbox was stored, ms since the epoch; `undefined` when it is trimmed. */
  async storedAtMs(seq: number): Promise<number | undefined> {
    return (await this.lookup.message(this.names.inboxStream, seq))?.storedAtMs;
  }

  /** All records, from the last one on: each names its predecessor, since its write was conditional on it. */
  async *newestFirst(key: SessionTokens): AsyncGenerator<StoredRecord> {
    const { turnsStream } = this.names;
    const subject = this.names.turnsSubject(key);
    let stored = await this.lookup.last(turnsStream, subject);
    while (stored?.subject === subject) {
      const record = toRecord(stored);
      if (record !== undefined) yield record;
      const before = previousRecordSeq(stored);
      stored = before > 0 && before < stored.seq ? await this.lookup.message(turnsStream, before) : undefined;
    }
  }

  /** The newest record that matches; `isTooOld` = neither this record nor one before it can match. */
  private async newest(
    key: SessionTokens,
    isIt: (record: SessionRecord) => boolean,
    isTooOld: (record: SessionRecord) => boolean,
  ): Promise<StoredRecord | undefined> {
    // Most questions are about recent records.
    let steps = 0;
    for await (const candidate of this.newestFirst(key)) {
      if (isTooOld(candidate.record)) return undefined;
      if (isIt(candidate.record)) return candidate;
      if (++steps === STEPS_BACK) break;
    }
    if (steps < STEPS_BACK) return undefined;
    let found: StoredRecord | undefined;
    for await (const candidate of this.allRecords(key)) if (isIt(candidate.record)) found = candidate;
    return found;
  }

  private async *allRecords(key: SessionTokens): AsyncGenerator<StoredRecord> {
    for await (const stored of this.lookup.messagesOf(this.names.turnsStream, this.names.turnsSubject(key), 1)) {
      const record = toRecord(stored);
      if (record !== undefined) yield record;
    }
  }
}

/** Each record's write was conditional on the one before it; 0 = it is the first. */
export function previousRecordSeq(stored: StoredMessage): number {
  return Number(stored.header(HEADER.expectedLastSubjectSequence) || 0);
}

function decides(record: SessionRecord, wanted: { seq: number } | { id: string }): boolean {
  return record.messages.some((message) => ('seq' in wanted ? message.seq === wanted.seq : message.id === wanted.id));
}

function toRecord(stored: StoredMessage): StoredRecord | undefined {
  const parsed = parseRecord(decodeUtf8(stored.data));
  return parsed.ok ? { recordSeq: stored.seq, storedAtMs: stored.storedAtMs, record: parsed.record } : undefined;
}

/**
 * A note that only keeps a run (a retry, a fence) or decides orders to the lane alone is no part of the conversation. No
 * note decides a message as `handled`, since no turn has handled it.
 */
function isBookkeeping({ kind, messages }: SessionRecord): boolean {
  return kind === 'note' && messages.every(({ decision }) => decision === 'handled');
}

function readIdAndKind(stored: StoredMessage): { id: string; isControl: boolean } {
  try {
    const body = JSON.parse(decodeUtf8(stored.data) ?? '') as { id?: unknown; kind?: unknown } | null;
    if (typeof body?.id === 'string') return { id: body.id, isControl: body.kind === 'control' };
  } catch {
    // Decided `rejected` under this id.
  }
  return { id: unreadableId(stored.seq), isControl: false };
}
