import { doublingWaitMs, HEADER, decodeUtf8, parseRecord } from '#contracts';
import type { Logger } from '#telemetry';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import type { PublishChannel, PublishOutcome } from './publish-channel.publisher.js';
import { SERVER_ERROR } from '../connection/server-errors.js';
import type { StoredMessage, StreamReader } from '../reading/stream-reader.client.js';

/**
 * The commit of a record: one compare-and-set publish, and a judgement for the cases in which its answer is not conclusive.
 *
 *   stored                       -> won
 *   10071 or no answer           -> judge: read the record right after the expected one from the leader
 *       it has our commitId      -> won       (the ack was lost, or we sent the bytes twice)
 *       it is another process'   -> lost
 *       there is none            -> the same bytes again; 10071 with no record at all -> forgotten
 *   write in flight, unsent, any other refusal -> the same bytes again, after a pause
 *   unsendable                   -> reported: the same bytes will never be stored
 *
 * 10071 alone proves nothing: the server checks the expected sequence before it looks for duplicates, so our own stored
 * record gets 10071 when it is sent again. Sending the same bytes twice is harmless for the same reason.
 */
export interface RecordWrite {
  readonly subject: string;
  readonly body: string;
  readonly commitId: string;
  /** Sequence of the session's last record; 0 = there is none. */
  readonly expectedSeq: number;
}

export type CommitOutcome =
  | { readonly kind: 'won'; readonly seq: number }
  /** Another record is stored in place of ours: its session continues from there. */
  | { readonly kind: 'lost'; readonly winner: StoredMessage }
  /** Not stored: it can never be sent as it is. */
  | { readonly kind: 'unsendable'; readonly description: string }
  /** The session has no record any more: an operator removed it. From here the expected sequence is 0. */
  | { readonly kind: 'forgotten' }
  /** The process stops: it is unknown whether our record is stored; the next owner reads it. */
  | { readonly kind: 'abandoned' };

const PAUSE = { firstMs: 20, longestMs: 2_000 };
const TELL_AFTER_TRIES = 5;

export class RecordCommitter {
  private stopped = false;

  constructor(
    private readonly connection: BrokerConnection,
    private readonly channel: PublishChannel,
    private readonly reader: StreamReader,
    private readonly turnsStream: string,
    private readonly log: Logger,
  ) {}

  commit(write: RecordWrite): Promise<CommitOutcome> {
    if (this.stopped) return Promise.resolve({ kind: 'abandoned' });
    return new Promise((resolve) => {
      this.channel.send(write.subject, write.body, headersOf(write), (outcome) => {
        // The usual case; every other case is slower.
        if (outcome.kind === 'stored') resolve({ kind: 'won', seq: outcome.seq });
        else resolve(this.resume(write, outcome));
      });
    });
  }

  /** After a first try that did not certainly succeed. */
  private async resume(write: RecordWrite, first: PublishOutcome): Promise<CommitOutcome> {
    let outcome = first;
    for (let tries = 1; !this.stopped; tries++) {
      if (tries > 1) outcome = await this.channel.publish(write.subject, write.body, headersOf(write));
      if (outcome.kind === 'stored') return { kind: 'won', seq: outcome.seq };
      if (outcome.kind === 'unsendable') return outcome;
      const verdict = await this.judge(write, outcome);
      if (verdict !== 'again') return verdict;
      if (tries % TELL_AFTER_TRIES === 0) {
        this.log.warn({ subject: write.subject, tries, outcome }, 'record not stored yet, trying again');
      }
      await this.pause(tries);
    }
    return { kind: 'abandoned' };
  }

  /** From here on nothing is tried again. */
  stop(): void {
    this.stopped = true;
  }

  private async judge(write: RecordWrite, outcome: PublishOutcome): Promise<CommitOutcome | 'again'> {
    const isConflict = outcome.kind === 'refused' && outcome.code === SERVER_ERROR.wrongLastSequence;
    if (!isConflict && outcome.kind !== 'unknown') return 'again';
    while (!this.stopped) {
      await this.connection.whenUp();
      try {
        const next = await this.reader.leaderNext(this.turnsStream, write.subject, write.expectedSeq + 1);
        if (next !== undefined)
          return isOurs(next, write) ? { kind: 'won', seq: next.seq } : { kind: 'lost', winner: next };
        return isConflict ? await this.judgeWithoutRecord(write) : 'again';
      } catch (error) {
        if (this.connection.nc.isClosed()) break;
        this.log.warn({ subject: write.subject, error: String(error) }, 'cannot judge a commit yet');
        await this.pause(TELL_AFTER_TRIES);
      }
    }
    return { kind: 'abandoned' };
  }

  /** A conflict, but no record after the expected one. */
  private async judgeWithoutRecord(write: RecordWrite): Promise<CommitOutcome | 'again'> {
    const last = await this.reader.leaderLast(this.turnsStream, write.subject);
    if (last === undefined) return write.expectedSeq === 0 ? 'again' : { kind: 'forgotten' };
    // Equal: a write was in flight and is gone. Lower: the stream was rewound, and its last record counts now.
    return last.seq >= write.expectedSeq ? 'again' : { kind: 'lost', winner: last };
  }

  private async pause(tries: number): Promise<void> {
    await this.connection.whenUp();
    const delayMs = doublingWaitMs(PAUSE, tries);
    await new Promise((resolve) => setTimeout(resolve, delayMs * (0.5 + Math.random() / 2)));
  }
}

function headersOf({ expectedSeq }: RecordWrite): Record<string, string> {
  return { [HEADER.expectedLastSubjectSequence]: String(expectedSeq) };
}

function isOurs(stored: StoredMessage, write: RecordWrite): boolean {
  const parsed = parseRecord(decodeUtf8(stored.data));
  return parsed.ok && parsed.record.commitId === write.commitId;
}
