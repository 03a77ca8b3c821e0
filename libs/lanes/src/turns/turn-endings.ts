import { type Clock, describeThrown } from '#contracts';
import type { Logger } from '#telemetry';
import { nextAttempt, runOf, type Batch } from '../turn-rules/batch.js';
import type { LaneRun } from '../lane/lane.js';
import type { RecordWriter, WriteResult } from '../records/record-writer.js';
import { errorWithinRecord, heldWithinRecord } from '../turn-rules/record-bounds.js';
import type { TurnTimes } from '../records/record-draft.js';
import { dead, settle, type Again, type Ending, type Settlement, type Split } from '../turn-rules/settlement.js';
import { splitInHalf } from '../turn-rules/split-batch.js';
import type { TurnRunner, AttemptEnd } from '../ports.js';
import type { ExecutedTurn } from './turn-execution.js';

export interface TurnEndingsOptions {
  readonly turns: TurnRunner;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

/** Writes what an attempt came to: the record that ends its turn, or the note of the attempt that comes next. */
export class TurnEndings {
  constructor(
    private readonly options: TurnEndingsOptions,
    private readonly writer: RecordWriter,
  ) {}

  settle({ lane }: LaneRun, batch: Batch, { outcome }: ExecutedTurn): Settlement {
    const { clock, random, turns } = this.options;
    return settle(outcome, batch, turns.policyOf(lane.key), clock.now(), random());
  }

  /** It ended its worker while it ran alone: it does not run again. */
  condemn(run: LaneRun, batch: Batch, end: AttemptEnd): Promise<WriteResult> {
    const message = `it ended its worker ${batch.crashes + 1} times, the last time while it ran alone`;
    const at = this.options.clock.now();
    return this.end(run, batch, dead({ name: 'worker_crashed', message }), { startedAt: at, endedAt: at }, end);
  }

  write(run: LaneRun, batch: Batch, settlement: Settlement, executed: ExecutedTurn): Promise<WriteResult> {
    switch (settlement.kind) {
      case 'end':
        return this.end(run, batch, settlement, executed.times, executed);
      case 'again':
        return this.again(run, batch, settlement, executed);
      case 'split':
        return this.split(run, batch, settlement, executed);
    }
  }

  private again(run: LaneRun, batch: Batch, settlement: Again, { isLeaked }: AttemptEnd): Promise<WriteResult> {
    const { log, turns, clock } = this.options;
    const { attempt, failures, notBefore, laterSince, error } = settlement;
    const waitMs = Math.max(0, notBefore - clock.now());
    const later = laterSince === undefined ? {} : { laterSince };
    const { laterSince: _former, error: _before, ...former } = runOf(batch);
    const said = errorWithinRecord(error, run.lane.head, batch.runId);
    const last = said === undefined ? {} : { error: said };
    // A handler that is still at work goes on with what it holds: no other run may have that.
    const all = isLeaked ? [] : (turns.tasks?.heldTasks(batch.runId) ?? []);
    const tasks = heldWithinRecord(all, run.lane.head, batch.runId);
    if (tasks.length < all.length)
      log.warn(
        { runId: batch.runId, held: all.length, kept: tasks.length },
        'a run holds more tasks than a note names',
      );
    const held = tasks.length === 0 ? {} : { tasks };
    return this.writer.again(run, { ...former, attempt, failures, notBefore, waitMs, ...later, ...last, ...held });
  }

  /** For its tasks the run is at its end: its parts are other runs. */
  private async split(run: LaneRun, batch: Batch, { error }: Split, { isLeaked }: AttemptEnd): Promise<WriteResult> {
    const { log, turns } = this.options;
    const { lane } = run;
    log.warn(
      { runId: batch.runId, messages: batch.items.length, error: error.name },
      'an agent refuses a batch: it runs again in parts',
    );
    return this.writer.split(run, splitInHalf(lane.key, batch), { runId: batch.runId, error: error.name }, () =>
      turns.tasks?.ending(lane.key, batch, dead(error), { isLeaked }),
    );
  }

  end(run: LaneRun, batch: Batch, ending: Ending, times: TurnTimes, { isLeaked }: AttemptEnd): Promise<WriteResult> {
    const { tasks } = this.options.turns;
    const tell =
      tasks === undefined
        ? undefined
        : (how: Ending): Promise<void> | undefined => tasks.ending(run.lane.key, batch, how, { isLeaked });
    return this.writer.turn(run, batch, ending, times, tell).catch(async (error: unknown) => {
      // A bug or a value that JSON cannot hold: the turn fails, the lane goes on.
      const { message } = describeThrown(error);
      this.options.log.error({ runId: batch.runId, error: message }, 'the record of a turn cannot be made');
      while (run.lane.writing !== undefined) await run.lane.writing.catch(() => {});
      return this.writer.turn(run, batch, dead({ name: 'record_failed', message }), times, tell);
    });
  }

  /** The record or note that was to end the attempt cannot be sent, and never will be: the turn ends dead. */
  async giveUp(run: LaneRun, batch: Batch, { times, isLeaked }: ExecutedTurn): Promise<WriteResult> {
    const { lane } = run;
    while (lane.writing !== undefined) await lane.writing.catch(() => {});
    if (!run.isWhole) {
      run.end(this.options.clock.now());
      return 'lost';
    }
    const message = 'its record, or the note of its next attempt, cannot be sent to the broker';
    const result = await this.end(run, batch, dead({ name: 'record_unsendable', message }), times, { isLeaked });
    if (result === 'unsendable') throw new Error(message);
    return result;
  }

  /** The attempt was cut: the next one begins at once, and counts no crash. */
  handBack(run: LaneRun, batch: Batch): Promise<WriteResult> {
    return this.writer.again(run, nextAttempt(batch));
  }
}
