import type { RunInWork } from '#contracts';
import type { Lane, LaneRun } from '../lane/lane.js';
import type { LaneTime } from '../lane/lane-time.js';
import type { AttemptEnd, AttemptFate, RecordStore } from '../ports.js';
import type { RecordWriter, WriteResult } from '../records/record-writer.js';
import type { Batch } from '../turn-rules/batch.js';
import type { LaneRefill } from './lane-refill.js';
import { TurnEndings, type TurnEndingsOptions } from './turn-endings.js';
import { TurnExecution, type ExecutedTurn } from './turn-execution.js';
import { whenWritten } from './when-written.js';

/**
 * The way of one turn, from the granted slot to the record that ends it. The states of a turn, and what ends each of them:
 *
 *   state      what happens                                          next
 *   preparing  messages that were not kept are read again, and the   executing; over, when the lane cannot go on with it now
 *              note is written that must stand before the turn
 *   executing  the handler runs (`TurnExecution`)                    closing
 *   closing    another record of the lane is on its way              committing; over, when the result is discarded
 *   committing the record, or the note of the next attempt, is       over
 *              on its way
 *   over       its run is told the fate of the attempt, and its slot is free
 *
 * A turn is condemned when it ended its worker again and again: it goes from preparing to committing, and its handler does not
 * run. A bug in any state ends in `crashed`: the session stops, the process goes on (L6).
 */

export interface TurnPathOptions extends TurnEndingsOptions {
  readonly store: RecordStore;
  readonly time: LaneTime;
  readonly worker: string;
  readonly mayStart: (shard: number) => boolean;
}

/** What the table of running turns is told of each. */
export interface TurnPathEvents {
  /** A batch was taken from its lane. */
  readonly onTaken: (lane: Lane, batch: Batch) => void;
  /** The turn runs. While it was prepared its lane could write nothing, and an order to it found nothing to stop. */
  readonly onPrepared: (lane: Lane) => void;
  readonly onLeaked: (runId: string) => void;
  readonly onDiscarded: (runId: string | undefined) => void;
  readonly onOver: (run: LaneRun, turn: RunningTurn) => void;
  /** Only a bug comes here. */
  readonly onCrashed: (run: LaneRun, turn: RunningTurn, error: unknown) => void;
}

/** Its handler is not at work any more. */
export const STOPPED: AttemptEnd = { isLeaked: false };

export class RunningTurn {
  execution: TurnExecution | undefined;
  /** Its outcome counts for nothing. If it is still being prepared, it does not begin. */
  isAbandoned = false;

  constructor(readonly onEnd: (waited: readonly LaneRun[]) => void) {}

  abandon(): void {
    this.isAbandoned = true;
    this.execution?.abandon();
  }
}

export class TurnPath {
  private readonly endings: TurnEndings;

  constructor(
    private readonly options: TurnPathOptions,
    private readonly writer: RecordWriter,
    private readonly refill: LaneRefill,
    private readonly events: TurnPathEvents,
  ) {
    this.endings = new TurnEndings(options, writer);
  }

  begin(run: LaneRun, turn: RunningTurn): void {
    const { lane } = run;
    // Where runs are beside each other, the driver has read what they need.
    const isComplete = lane.hasConcurrent || lane.toRead.length === 0;
    const note = isComplete ? run.prepareNote() : undefined;
    if (!isComplete || note !== undefined) return this.afterPreparing(run, turn, this.prepare(run, note, isComplete));
    this.execute(run, turn, run.take(this.options.time.read()));
  }

  /** The attempt was cut: the next one begins at once, and counts no crash. */
  async handBack(run: LaneRun): Promise<void> {
    // Those of one session go one after another.
    while (run.lane.writing !== undefined) await run.lane.writing.catch(() => {});
    if (run.batch !== undefined && run.isWhole) await this.endings.handBack(run, run.batch);
  }

  /** Tells the tasks of a run what became of its attempt. */
  attemptOver({ lane }: LaneRun, batch: Batch, fate: AttemptFate, { isLeaked }: AttemptEnd): void {
    this.options.turns.tasks?.attemptOver(lane.key, batch, fate, { isLeaked });
  }

  private afterPreparing(run: LaneRun, turn: RunningTurn, preparing: Promise<Batch | undefined>): void {
    preparing
      .then((batch) => {
        if (batch !== undefined && turn.isAbandoned) this.attemptOver(run, batch, 'discarded', STOPPED);
        if (batch === undefined || turn.isAbandoned) return this.events.onOver(run, turn);
        // A process that is stopped in between goes on here, when its session may be another worker's (L4).
        if (run.lane.home.state === 'open' && !this.options.mayStart(run.lane.home.shard))
          return this.putBack(run, turn);
        this.execute(run, turn, batch);
        this.events.onPrepared(run.lane);
      })
      .catch((error: unknown) => this.events.onCrashed(run, turn, error));
  }

  /** It was taken, and has not begun: the same attempt begins when the shard is certainly ours again. */
  private putBack(run: LaneRun, turn: RunningTurn): void {
    run.end(this.options.clock.now());
    this.events.onOver(run, turn);
  }

  /** Undefined when the lane cannot go on with its turn now; the end of this one drives it on. */
  private async prepare(run: LaneRun, known: RunInWork | undefined, isComplete: boolean): Promise<Batch | undefined> {
    if (!isComplete && !(await this.readAgain(run))) return undefined;
    const note = known ?? run.prepareNote();
    return note === undefined ? run.take(this.options.time.read()) : await this.takeBehind(run, note);
  }

  /** False when the lane cannot go on with its turn now; the end of this one drives it on. */
  private async readAgain(run: LaneRun): Promise<boolean> {
    const { lane } = run;
    await this.refill.read(lane, lane.toRead);
    lane.releaseFrozen();
    // The rest of a frozen batch, or what came instead of messages that are gone, is read in another go.
    if (lane.backlog.waiting.length === 0 || (run.next !== undefined && lane.toRead.length > 0)) return false;
    return lane.writing === undefined && this.mayResume(run);
  }

  /** The batch, taken in the moment in which the note stands; undefined when the lane cannot go on with it. */
  private async takeBehind(run: LaneRun, note: RunInWork): Promise<Batch | undefined> {
    const { log, time } = this.options;
    const { runId, attempt, crashes, quarantined = false } = note;
    log.warn({ runId, attempt, crashes, quarantined }, 'a turn runs again whose worker is gone');
    let batch: Batch | undefined;
    const result = await this.writer.before(run, note, () => {
      if (this.mayResume(run)) batch = run.take(time.read());
      return batch !== undefined;
    });
    if (result === 'unsendable') throw new Error('what has to stand before a turn cannot be sent');
    return batch;
  }

  /** Whether nothing came in between while something was awaited. */
  private mayResume(run: LaneRun): boolean {
    const { lane } = run;
    const isOurs = lane.home.state === 'open' && !lane.isStopped && this.options.mayStart(lane.home.shard);
    const mayBegin = run.isConcurrent || lane.mayBeginInTurn;
    return isOurs && mayBegin && run.canTake(this.options.time.read());
  }

  private execute(run: LaneRun, turn: RunningTurn, batch: Batch): void {
    const { turns } = this.options;
    const { lane } = run;
    this.events.onTaken(lane, batch);
    const { headSeq, head } = lane;
    if (batch.isCondemned) return this.endAfter(run, turn, this.condemn(run, batch));
    const execution = new TurnExecution(lane.key, batch, head.state, headSeq, turns.policyOf(lane.key), this.options);
    turn.execution = execution;
    execution.runTo((executed) => {
      try {
        this.afterHandler(run, turn, execution, batch, executed);
      } catch (error) {
        this.events.onCrashed(run, turn, error);
      }
    });
  }

  private afterHandler(
    run: LaneRun,
    turn: RunningTurn,
    execution: TurnExecution,
    batch: Batch,
    executed: ExecutedTurn,
  ): void {
    if (executed.isLeaked) this.events.onLeaked(batch.runId);
    // Another record of this lane may be on its way: its head is the one to go on from.
    if (run.lane.writing === undefined) return this.close(run, turn, execution, batch, executed);
    whenWritten(
      run.lane,
      () => this.close(run, turn, execution, batch, executed),
      (error) => this.events.onCrashed(run, turn, error),
    );
  }

  private close(run: LaneRun, turn: RunningTurn, execution: TurnExecution, batch: Batch, executed: ExecutedTurn): void {
    if (execution.isAbandoned) {
      this.attemptOver(run, batch, 'discarded', executed);
      return this.events.onOver(run, turn);
    }
    if (!run.isWhole) {
      this.events.onDiscarded(batch.runId);
      run.end(this.options.clock.now());
      this.attemptOver(run, batch, 'discarded', executed);
      return this.events.onOver(run, turn);
    }
    this.commit(run, turn, batch, executed);
  }

  private commit(run: LaneRun, turn: RunningTurn, batch: Batch, executed: ExecutedTurn): void {
    const settlement = this.endings.settle(run, batch, executed);
    // A batch that was split has ended too: its parts are other runs.
    const isEnd = settlement.kind !== 'again';
    this.endings
      .write(run, batch, settlement, executed)
      .then((result) => {
        if (result === 'unsendable') return this.giveUp(run, turn, batch, executed);
        this.committed(run, turn, batch, executed, isEnd, result);
      })
      .catch((error: unknown) => this.events.onCrashed(run, turn, error));
  }

  private async giveUp(run: LaneRun, turn: RunningTurn, batch: Batch, executed: ExecutedTurn): Promise<void> {
    const result = await this.endings.giveUp(run, batch, executed);
    this.committed(run, turn, batch, executed, true, result);
  }

  private committed(
    run: LaneRun,
    turn: RunningTurn,
    batch: Batch,
    executed: ExecutedTurn,
    isEnd: boolean,
    result: WriteResult,
  ): void {
    if (result === 'lost') this.events.onDiscarded(batch.runId);
    const next = run.lane.home.state === 'closed' ? 'again-elsewhere' : 'again';
    const stands = isEnd ? 'ended' : next;
    this.attemptOver(run, batch, result === 'won' ? stands : 'discarded', executed);
    this.events.onOver(run, turn);
  }

  private async condemn(run: LaneRun, batch: Batch): Promise<void> {
    const result = await this.endings.condemn(run, batch, STOPPED);
    if (result === 'unsendable') throw new Error('the record of a condemned turn cannot be sent');
    this.attemptOver(run, batch, result === 'won' ? 'ended' : 'discarded', STOPPED);
  }

  /** What is awaited on the way of a turn that is not like most. */
  private endAfter(run: LaneRun, turn: RunningTurn, work: Promise<void>): void {
    work.then(
      () => this.events.onOver(run, turn),
      (error: unknown) => this.events.onCrashed(run, turn, error),
    );
  }
}
