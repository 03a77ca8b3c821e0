import {
  MAX_RECORD_BYTES,
  type Clock,
  type DeadLetter,
  type Head,
  type MessageDecision,
  type NoteReply,
  type RunInWork,
} from '#contracts';
import type { Logger } from '#telemetry';
import type { Batch } from '../turn-rules/batch.js';
import type { Lane, LaneRun } from '../lane/lane.js';
import type { RecordStore, WriteOutcome } from '../ports.js';
import { draftNote, draftTurn, type RecordDraft, type SplitRun, type TurnTimes } from './record-draft.js';
import { dead, type Ending } from '../turn-rules/settlement.js';

/** How a write ended for its lane. `unsendable`: nothing is stored, nothing has changed, and the same would end so again. */
export type WriteResult = 'won' | 'lost' | 'abandoned' | 'unsendable';

export interface RecordWriterOptions {
  readonly store: RecordStore;
  readonly worker: string;
  readonly newCommitId: () => string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of every record of a lane that stands, with the head before it; `written` when it is ours. */
  readonly onRecord: (lane: Lane, before: Head, written?: RecordDraft) => void;
}

/**
 * Writes the records of lanes: draft, send, and give the lane the head that stands afterwards. A lane's writes go one
 * after another; a second write while one is on its way is a bug of the caller.
 */
export class RecordWriter {
  constructor(private readonly options: RecordWriterOptions) {}

  /**
   * Writes a note about decisions; the runs in work stay as they are. The caller that wants more decided than fits asks
   * again.
   */
  note(lane: Lane, messages: readonly MessageDecision[], sends: readonly NoteReply[] = []): Promise<WriteResult> {
    return this.exclusively(lane, () => this.sendNote(lane, this.fitNote(lane, messages, sends)));
  }

  /**
   * Writes a note that ends messages dead, their letters before it. `isOurs`: whether it may still be written then, as a broker
   * that is away may have kept the letters for long.
   */
  bury(
    lane: Lane,
    messages: readonly MessageDecision[],
    letters: readonly DeadLetter[],
    isOurs: () => boolean,
  ): Promise<WriteResult> {
    return this.exclusively(lane, async () => {
      if (!(await this.options.store.bury(lane.key, letters)) || !isOurs()) return 'abandoned';
      return this.sendNote(lane, this.fitNote(lane, messages, []));
    });
  }

  /**
   * Writes the note that has to stand before a batch runs, and begins it in the same moment, by `begin`. When that cannot
   * be any more, nothing may say that it ran alone: a later crash would be blamed on it.
   */
  before(run: LaneRun, content: RunInWork, begin: () => boolean): Promise<WriteResult> {
    const { lane } = run;
    const note = (next: RunInWork): Promise<WriteResult> =>
      this.sendNote(lane, draftNote(lane, this.signature(), { run, next }));
    return this.exclusively(lane, async () => {
      const result = await note(content);
      if (result !== 'won' || begin() || content.quarantined !== true) return result;
      const { quarantined: _not, ...unmarked } = content;
      return note(unmarked);
    });
  }

  /** Writes the note that ends a turn's attempt: `next` is the one that comes then. */
  again(run: LaneRun, next: RunInWork): Promise<WriteResult> {
    const { lane } = run;
    return this.exclusively(lane, () => this.sendNote(lane, draftNote(lane, this.signature(), { run, next }), run));
  }

  /** Writes the note that splits a batch: `first` is the part that is next. `before` hears of it before it is durable. */
  split(
    run: LaneRun,
    first: RunInWork,
    parent: SplitRun,
    before: () => Promise<void> | undefined,
  ): Promise<WriteResult> {
    const { lane } = run;
    run.isEnding = true;
    return this.exclusively(lane, async () => {
      const draft = draftNote(lane, this.signature(), { run, next: first, split: parent });
      await before();
      return this.sendNote(lane, draft, run);
    });
  }

  /**
   * Writes the record that ends a turn, and ends it. What does not fit into a record makes the turn a dead one. `before`
   * hears how it ends, before anything of that is durable.
   */
  turn(
    run: LaneRun,
    batch: Batch,
    wanted: Ending,
    times: TurnTimes,
    before?: (ending: Ending) => Promise<void> | undefined,
  ): Promise<WriteResult> {
    const { lane } = run;
    run.isEnding = true;
    if (lane.writing !== undefined) return Promise.reject(new Error('two records of one session on their way'));
    try {
      const { draft, ending } = this.fit(run, batch, wanted, times);
      const heard = before?.(ending);
      const letters = deadLetters(batch, ending, times);
      if (heard === undefined && letters.length === 0) return this.sendAlone(lane, draft, run);
      return this.exclusively(lane, async () => {
        if (heard !== undefined) await heard;
        if (letters.length > 0) {
          if (!(await this.options.store.bury(lane.key, letters))) return 'abandoned';
        }
        return this.send(lane, draft, run);
      });
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** As `exclusively` with `send`: nearly all records go this way, with one promise on it. */
  private sendAlone(lane: Lane, draft: RecordDraft, ends: LaneRun): Promise<WriteResult> {
    const written = this.options.store.write(lane.key, draft.body, draft.commitId, lane.headSeq).then(
      (outcome) => {
        try {
          const result = this.apply(lane, draft, outcome);
          if (isOver(result)) ends.end(this.options.clock.now());
          return result;
        } finally {
          lane.writing = undefined;
        }
      },
      (error: unknown) => {
        // Only a bug comes here. Without this, a wait for the end of the writes would never end, and nothing else would run
        // (L6).
        lane.writing = undefined;
        throw error;
      },
    );
    lane.writing = written;
    return written;
  }

  private fit(run: LaneRun, batch: Batch, ending: Ending, times: TurnTimes): { draft: RecordDraft; ending: Ending } {
    const wanted = draftTurn(run, batch, ending, times, this.signature());
    if (wanted.ok) return { draft: wanted.draft, ending };
    this.options.log.warn({ runId: batch.runId, reason: wanted.error.message }, 'turn failed at its record');
    const instead = dead(wanted.error);
    const fitting = draftTurn(run, batch, instead, times, this.signature());
    if (!fitting.ok) throw new Error(fitting.error.message);
    return { draft: fitting.draft, ending: instead };
  }

  /** From the draft to the answer no other write of the lane may begin: it would be drafted from the same head. */
  private async exclusively(lane: Lane, write: () => Promise<WriteResult>): Promise<WriteResult> {
    if (lane.writing !== undefined) throw new Error('two records of one session on their way');
    const writing = write();
    const ended = writing.catch(() => {});
    lane.writing = ended;
    try {
      return await writing;
    } finally {
      lane.writing = undefined;
    }
  }

  /** Of what does not fit into one note, the first part. */
  private fitNote(lane: Lane, messages: readonly MessageDecision[], sends: readonly NoteReply[]): RecordDraft {
    const draft = draftNote(lane, this.signature(), { messages, sends });
    if (messages.length <= 1 || !isTooLarge(draft)) return draft;
    const first = messages.slice(0, Math.floor(messages.length / 2));
    const answered = new Set(first.map(({ seq }) => seq));
    return this.fitNote(
      lane,
      first,
      sends.filter(({ seq }) => answered.has(seq)),
    );
  }

  /** A turn's record was made to fit; a note carries what others left in the head. */
  private sendNote(lane: Lane, draft: RecordDraft, ends?: LaneRun): Promise<WriteResult> {
    if (!isTooLarge(draft)) return this.send(lane, draft, ends);
    const description = `it has ${Buffer.byteLength(draft.body)} bytes, at most ${MAX_RECORD_BYTES} are kept`;
    return Promise.resolve(this.apply(lane, draft, { kind: 'unsendable', description }));
  }

  private async send(lane: Lane, draft: RecordDraft, ends?: LaneRun): Promise<WriteResult> {
    const outcome = await this.options.store.write(lane.key, draft.body, draft.commitId, lane.headSeq);
    const result = this.apply(lane, draft, outcome);
    // In the same moment: a lane that still had a turn behind the record that ended it would be given away as held, and
    // its next owner would wait for a record that never comes.
    if (isOver(result)) ends?.end(this.options.clock.now());
    return result;
  }

  private apply(lane: Lane, draft: RecordDraft, outcome: WriteOutcome): WriteResult {
    const before = lane.head;
    switch (outcome.kind) {
      case 'won':
        lane.wrote(draft.loadedAt(outcome.seq));
        this.options.onRecord(lane, before, draft);
        return 'won';
      case 'lost':
        this.options.log.warn(
          { ...lane.key, seq: outcome.winner.seq },
          "another's record stands here, ours is discarded",
        );
        lane.lost(outcome.winner);
        this.options.onRecord(lane, before);
        return 'lost';
      case 'unsendable':
        this.options.log.error({ ...lane.key, reason: outcome.description }, 'a record cannot be sent');
        return 'unsendable';
      case 'abandoned':
        lane.isStopped = true;
        return 'abandoned';
    }
  }

  private signature(): { worker: string; commitId: string } {
    return { worker: this.options.worker, commitId: this.options.newCommitId() };
  }
}

/** Its run has come to an end with it. */
function isOver(result: WriteResult): boolean {
  return result === 'won' || result === 'lost';
}

function isTooLarge({ body }: RecordDraft): boolean {
  return Buffer.byteLength(body) > MAX_RECORD_BYTES;
}

const NO_LETTERS: readonly DeadLetter[] = [];

/** Asked with every turn: nearly none has any. */
function deadLetters(batch: Batch, ending: Ending, { endedAt }: TurnTimes): readonly DeadLetter[] {
  const { failed, decision } = ending;
  if (failed === undefined && decision !== 'dead') return NO_LETTERS;
  const failures = new Map((failed ?? []).map(({ seq, error }) => [seq, error]));
  return batch.items.flatMap(({ id, seq, content }): DeadLetter[] => {
    const failure = failures.get(seq);
    if (failure === undefined && decision !== 'dead') return [];
    // A turn has only messages that could be read, and no orders.
    if (!content.ok || content.message.kind !== 'message') return [];
    return [
      {
        v: 1,
        messageId: id,
        seq,
        runId: batch.runId,
        attempts: batch.attempt,
        status: failure === undefined ? ending.status : 'failed',
        error: failure ?? ending.error ?? { name: 'unknown', message: '' },
        deadAt: endedAt,
        message: content.message,
      },
    ];
  });
}
