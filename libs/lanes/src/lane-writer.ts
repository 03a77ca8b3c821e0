import type { Clock, MessageDecision, RunInWork } from '#contracts';
import type { Logger } from '#telemetry';
import type { Batch, Lane } from './lane.js';
import type { RecordStore, WriteOutcome } from './lane-ports.js';
import { draftNote, draftTurn, type RecordDraft, type TurnTimes } from './record-draft.js';
import { failed, type Settlement } from './settlement.js';

/** How a write ended for its lane. */
export type WriteResult = 'won' | 'lost' | 'abandoned';

export interface LaneWriterOptions {
  readonly store: RecordStore;
  readonly worker: string;
  readonly newCommitId: () => string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Writes the records of lanes: draft, send, and give the lane the head that stands afterwards. A lane's writes go one
 * after another; who writes while another write is on its way has made a mistake.
 */
export class LaneWriter {
  constructor(private readonly options: LaneWriterOptions) {}

  /** Writes a note about decisions, the run in work, or both. */
  async note(lane: Lane, messages: readonly MessageDecision[], run?: RunInWork): Promise<WriteResult> {
    const draft = draftNote(lane, this.signature(), run === undefined ? { messages } : { messages, run });
    return this.write(lane, draft);
  }

  /** Writes the record that ends a turn. What does not fit into a record makes the turn a failed one. */
  async turn(lane: Lane, batch: Batch, settlement: Settlement, times: TurnTimes): Promise<WriteResult> {
    const wanted = draftTurn(lane, batch, settlement, times, this.signature());
    if (wanted.ok) return this.write(lane, wanted.draft);
    this.options.log.warn({ runId: batch.runId, reason: wanted.error.message }, 'turn failed at its record');
    const instead = draftTurn(lane, batch, failed(wanted.error), times, this.signature());
    if (!instead.ok) throw new Error(instead.error.message);
    return this.write(lane, instead.draft);
  }

  private async write(lane: Lane, draft: RecordDraft): Promise<WriteResult> {
    if (lane.writing !== undefined) throw new Error('two records of one session on their way');
    const { body, commitId } = draft;
    const sent = this.options.store.write(lane.key, body, commitId, lane.headSeq);
    lane.writing = sent;
    const outcome = await sent;
    lane.writing = undefined;
    return this.apply(lane, draft, outcome);
  }

  private apply(lane: Lane, draft: RecordDraft, outcome: WriteOutcome): WriteResult {
    switch (outcome.kind) {
      case 'won':
        lane.goOnFrom(draft.loadedAt(outcome.seq));
        return 'won';
      case 'lost':
        this.options.log.warn(
          { ...lane.key, seq: outcome.winner.seq },
          "another's record stands here, ours is discarded",
        );
        lane.goOnFrom(outcome.winner);
        return 'lost';
      case 'abandoned':
        return 'abandoned';
    }
  }

  private signature(): { worker: string; commitId: string } {
    return { worker: this.options.worker, commitId: this.options.newCommitId() };
  }
}
