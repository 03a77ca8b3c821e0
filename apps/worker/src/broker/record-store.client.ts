import {
  headOf,
  parseRecord,
  parseTurnStarted,
  LanekeeperError,
  decodeUtf8,
  writeJsonObject,
  type DeadLetter,
  type Head,
  type Names,
  type SessionRecord,
  type SessionTokens,
  type TurnStartedEvent,
  emptyHead,
  type LoadedHead,
} from '#contracts';
import {
  LastMessageBatcher,
  type PatientPublisher,
  type RecordCommitter,
  type BrokerConnection,
  type StoredMessage,
  type StreamReader,
} from '#jetstream';
import type { CutTurn, RecordStore, WriteOutcome } from '#lanes';
import type { Logger } from '#telemetry';
import type { SessionEvents } from './session-events.publisher.js';

export interface RecordStoreOptions {
  readonly connection: BrokerConnection;
  readonly reader: StreamReader;
  readonly committer: RecordCommitter;
  readonly keeper: PatientPublisher;
  readonly events: SessionEvents;
  readonly names: Names;
  readonly isReplicated: boolean;
  readonly log: Logger;
}

/** A record that cannot be read stops only its own session. It is read again after this time. */
const UNREADABLE_RETRY_MS = 30_000;

const NO_HEAD: LoadedHead = { head: emptyHead(), seq: 0, stateSeq: 0 };

/**
 * The record store of lanes on JetStream. Heads and `turn-started` events are read by batched direct get. Records are
 * written by compare-and-set publish.
 */
export class JetStreamRecordStore implements RecordStore {
  private readonly heads: LastMessageBatcher;
  private readonly events: LastMessageBatcher;
  /**
   * Highest LK_TURNS sequence that this process knows of. An answer from a replica that has not read that far is stale.
   */
  private knownSeq = 0;

  constructor(private readonly options: RecordStoreOptions) {
    const { connection, reader, names, isReplicated, log } = options;
    const knownSeq = (): number => this.knownSeq;
    this.heads = new LastMessageBatcher(connection, reader, { stream: names.turnsStream, knownSeq, isReplicated, log });
    this.events = new LastMessageBatcher(connection, reader, {
      stream: names.eventsStream,
      knownSeq: () => 0,
      isReplicated,
      log,
    });
  }

  /** From now on, answers from before this LK_TURNS sequence count as stale. */
  knowUpTo(seq: number): void {
    this.knownSeq = Math.max(this.knownSeq, seq);
  }

  async loadHead(key: SessionTokens): Promise<LoadedHead> {
    const stored = await this.heads.last(this.options.names.turnsSubject(key));
    return stored === undefined ? NO_HEAD : this.readHead(stored);
  }

  async loadCutTurn(key: SessionTokens): Promise<CutTurn | undefined> {
    const stored = await this.events.last(this.options.names.turnEventsSubject(key));
    return stored === undefined ? undefined : parseTurnStarted(decodeUtf8(stored.data) ?? '');
  }

  watchRecords(key: SessionTokens, onHint: () => void): () => void {
    const { connection, names } = this.options;
    const subscription = connection.nc.subscribe(names.turnsSubject(key), { callback: () => onHint() });
    return () => subscription.unsubscribe();
  }

  write(key: SessionTokens, body: string, commitId: string, expectedSeq: number): Promise<WriteOutcome> {
    const subject = this.options.names.turnsSubject(key);
    return this.options.committer.commit({ subject, body, commitId, expectedSeq }).then((outcome) => {
      switch (outcome.kind) {
        case 'won':
          this.knowUpTo(outcome.seq);
          return outcome;
        case 'lost':
          return this.readWinner(outcome.winner);
        case 'forgotten':
          return { kind: 'lost', winner: NO_HEAD };
        case 'unsendable':
        case 'abandoned':
          return outcome;
      }
    });
  }

  async bury(key: SessionTokens, letters: readonly DeadLetter[]): Promise<boolean> {
    for (const letter of letters) {
      const subject = this.options.names.deadSubject(key, letter.seq);
      // If the publish is given up, the message is still in the inbox, and its record says `dead`.
      if ((await this.options.keeper.keep(subject, writeJsonObject(letter))) === 'stopped') return false;
    }
    return true;
  }

  announce(key: SessionTokens, event: TurnStartedEvent, isConcurrent: boolean): void {
    this.options.events.announce(key, event, isConcurrent);
  }

  /**
   * More records may have followed the winner, so continue from the last one. If it cannot be read, try again until an
   * operator has repaired it. Only this session waits.
   */
  private async readWinner(winner: StoredMessage): Promise<WriteOutcome> {
    this.knowUpTo(winner.seq);
    while (!this.options.connection.nc.isClosed()) {
      try {
        const last = await this.heads.last(winner.subject);
        return { kind: 'lost', winner: await this.readHead(last ?? winner) };
      } catch (error) {
        this.options.log.error(
          { subject: winner.subject, error: String(error) },
          'the record of another worker cannot be read; trying again',
        );
        await new Promise((resolve) => setTimeout(resolve, UNREADABLE_RETRY_MS).unref());
      }
    }
    return { kind: 'abandoned' };
  }

  private async readHead(stored: StoredMessage): Promise<LoadedHead> {
    const record = this.parse(stored);
    const { state, stateSeq } = record;
    const head: Head = { ...headOf(record), ...(state === undefined ? {} : { state }) };
    const { seq, data } = stored;
    if (stateSeq === undefined) return { head, seq, stateSeq: state === undefined ? 0 : seq, bytes: data.length };
    const { reader, names } = this.options;
    // Another replica may answer this time. The state is gone only if the leader does not have it.
    const holder =
      (await reader.message(names.turnsStream, stateSeq)) ?? (await reader.leaderMessage(names.turnsStream, stateSeq));
    if (holder === undefined)
      throw new UnreadableRecordError(stored.subject, stateSeq, 'the record with its state is gone');
    return { head: { ...head, state: this.parse(holder).state }, seq, stateSeq, bytes: holder.data.length };
  }

  private parse(stored: StoredMessage): SessionRecord {
    const parsed = parseRecord(decodeUtf8(stored.data));
    if (!parsed.ok) throw new UnreadableRecordError(stored.subject, stored.seq, parsed.problem);
    return parsed.record;
  }
}

/** The session waits instead of guessing what was decided. Other sessions are not affected (L6). */
class UnreadableRecordError extends LanekeeperError {
  constructor(subject: string, seq: number, problem: string) {
    super(
      'unreadable_record',
      `record ${seq} of ${subject} cannot be read (${problem}): another program writes this subject, or the stream is ` +
        'damaged. Restore it from a backup, or delete that record to go on from the one before it',
    );
  }
}
