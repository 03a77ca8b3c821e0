import { type CancelTarget, type RunInWork, type SessionTokens, laneId } from '#contracts';
import { matchesTarget } from '../lane/next-cancel.js';
import type { Batch } from '../turn-rules/batch.js';
import type { Lane, LaneRun } from '../lane/lane.js';
import type { RecordStore, AttemptEnd, AttemptFate } from '../ports.js';
import type { LaneTime } from '../lane/lane-time.js';
import type { LaneRefill } from './lane-refill.js';
import type { RecordWriter, WriteResult } from '../records/record-writer.js';
import { Quarantine } from './quarantine.js';
import { RunTable } from './run-table.js';
import { TurnEndings, type TurnEndingsOptions } from './turn-endings.js';
import { whenWritten } from './when-written.js';
import { TurnExecution, type ExecutedTurn } from './turn-execution.js';

/**
 * The turns that run in this process, from the granted slot to the record that ends them:
 *
 *   read again what was not kept -> record what has to stand before -> take -> execute -> settle -> commit
 *
 * The runner hears of each attempt that ends the turn before its record is written, and of each what became of it.
 *
 * A turn whose shard was given away in the meantime goes the same way to its record, and its lane ends there. One whose
 * shard was lost is discarded: its `Turn` is dead, and nothing of it is written.
 */

export interface RunningTurnsOptions extends TurnEndingsOptions {
  readonly store: RecordStore;
  readonly time: LaneTime;
  readonly worker: string;
  readonly mayStart: (shard: number) => boolean;
}

const STOPPED: AttemptEnd = { isLeaked: false };

class RunningTurn {
  execution: TurnExecution | undefined;
  /** Its outcome counts for nothing. If it is still being prepared, it does not begin. */
  isAbandoned = false;

  constructor(readonly onEnd: (waited: readonly LaneRun[]) => void) {}

  abandon(): void {
    this.isAbandoned = true;
    this.execution?.abandon();
  }
}

export class RunningTurns {
  private readonly turns = new RunTable<RunningTurn>();
  private readonly quarantine = new Quarantine();
  private readonly endings: TurnEndings;
  private endListeners: (() => void)[] = [];
  private leakedTurns = 0;
  private discardedTurns = 0;

  constructor(
    private readonly options: RunningTurnsOptions,
    private readonly writer: RecordWriter,
    private readonly refill: LaneRefill,
    private readonly onTaken: (lane: Lane, batch: Batch) => void,
    /** Its turn runs. While that was prepared the lane could write nothing, and an order to it found nothing to stop. */
    private readonly onPrepared: (lane: Lane) => void,
  ) {
    this.endings = new TurnEndings(options, writer);
  }

  get count(): number {
    return this.turns.size;
  }
  get leaked(): number {
    return this.leakedTurns;
  }
  get discarded(): number {
    return this.discardedTurns;
  }

  has(run: LaneRun): boolean {
    return this.turns.has(run);
  }

  /** ms since the epoch; undefined when it does not run here, or not yet. */
  startedAt(run: LaneRun): number | undefined {
    return this.turns.get(run)?.execution?.startedAt;
  }

  /** False: its kind runs one at a time, and another one does. `onEnd` names it when its turn has come. */
  admits(run: LaneRun): boolean {
    return !run.needsQuarantine || this.quarantine.enter(run);
  }

  /** As `admits`, for one that has no slot yet. */
  mightAdmit(run: LaneRun): boolean {
    return !run.needsQuarantine || this.quarantine.isFreeFor(run);
  }

  /** Runs a run's next turn; call only for one that can take one. `onEnd` gets the runs that waited for its end. */
  start(run: LaneRun, onEnd: (waited: readonly LaneRun[]) => void): void {
    const turn = new RunningTurn(onEnd);
    this.turns.set(run, turn);
    try {
      this.begin(run, turn);
    } catch (error) {
      this.failed(run, turn, error);
    }
  }

  /** Only a bug comes here. Its session stops; the process, and with it every other session, goes on (L6). */
  private failed(run: LaneRun, turn: RunningTurn, error: unknown): void {
    // When it has ended already, something that went on behind it has failed, and perhaps its run is at work again.
    if (this.turns.get(run) !== turn) return this.options.log.error({ error: String(error) }, 'a lane cannot go on');
    run.lane.isStopped = true;
    if (run.batch !== undefined) this.attemptOver(run, run.batch, 'discarded', STOPPED);
    this.options.log.error({ ...run.lane.key, error: String(error) }, 'a turn came to no end');
    this.ended(run, turn);
  }

  private ended(run: LaneRun, turn: RunningTurn): void {
    if (this.turns.get(run) !== turn) return;
    this.turns.delete(run);
    const listeners = this.endListeners;
    if (listeners.length > 0) {
      this.endListeners = [];
      for (const listener of listeners) listener();
    }
    turn.onEnd(this.quarantine.leave(run));
  }

  /** What is awaited on the way of a turn that is not like most. */
  private endAfter(run: LaneRun, turn: RunningTurn, work: Promise<void>): void {
    work.then(
      () => this.ended(run, turn),
      (error: unknown) => this.failed(run, turn, error),
    );
  }

  /** Aborts what runs these messages of the lane. */
  cancel(lane: Lane, seqs: readonly number[]): void {
    for (const run of lane.running) {
      const meant = (run.batch?.items ?? []).map(({ seq }) => seq).filter((seq) => seqs.includes(seq));
      if (meant.length > 0) this.turns.get(run)?.execution?.cancel(meant);
    }
  }

  /** For the owner of a session whose turn still runs here; nothing when it is ours again: then its own lane has the order. */
  cancelInHandoff(key: Pick<SessionTokens, 'agentToken' | 'sessionToken'>, target: CancelTarget): void {
    const lane = this.find(key);
    if (lane?.home.state === 'open') return;
    const meant = (lane?.running ?? []).flatMap(({ batch }) =>
      (batch?.items ?? []).map(({ seq }) => seq).filter((seq) => matchesTarget(target, seq, batch?.runId)),
    );
    if (lane !== undefined && meant.length > 0) this.cancel(lane, meant);
  }

  /** The lane of a session of which a turn runs here, whoever owns its shard. */
  find(key: Pick<SessionTokens, 'agentToken' | 'sessionToken'>): Lane | undefined {
    const id = laneId(key);
    for (const [{ lane, batch }] of this.turns.entries()) if (batch !== undefined && lane.id === id) return lane;
    return undefined;
  }

  /** Another worker runs it again: its `Turn` is dead, and its result counts for nothing. */
  discard(run: LaneRun): void {
    const turn = this.turns.get(run);
    // Its result is on its way to the broker, which judges it.
    if (turn === undefined || run.isEnding || turn.execution?.isRunning === false) return;
    turn.abandon();
    this.countDiscarded(run.batch?.runId);
  }

  /**
   * Looks after the turns of shards that are not ours any more: while this process said nothing, their owner may have
   * given them up for dead and run them again.
   */
  async discardOverrun(): Promise<void> {
    const letGo = new Set<Lane>();
    for (const [{ lane, batch }] of this.turns.entries())
      if (batch !== undefined && lane.home.state !== 'open') letGo.add(lane);
    await Promise.all(
      [...letGo].map(async (lane) => {
        const { seq } = await this.options.store.loadHead(lane.key);
        if (seq > lane.headSeq && lane.writing === undefined) for (const run of lane.running) this.discard(run);
      }),
    );
  }

  /** Resolves when no turn runs. */
  async whenIdle(): Promise<void> {
    while (this.turns.size > 0) await this.anyEnd();
  }

  /** Resolves when one of those that run now has ended. */
  async anyEnd(): Promise<void> {
    await new Promise<void>((resolve) => this.endListeners.push(resolve));
  }

  /**
   * Aborts what still runs. A note hands the batch back, so that its next attempt waits for nobody and counts no crash. What
   * it held stays behind: the handler may still be at work. The task of a message for an outside agent has no next attempt
   * then: whether that one stops is not known (G2).
   */
  async handBackAll(): Promise<void> {
    await Promise.all(
      this.turns.entries().map(async ([run, turn]) => {
        const mayGoOnOutside = run.batch?.task !== undefined && this.options.turns.runsOutside(run.lane.key);
        if (mayGoOnOutside && turn.execution !== undefined) {
          turn.execution.cut();
          while (this.turns.get(run) === turn) await this.anyEnd();
          return;
        }
        turn.abandon();
        // Those of one session go one after another.
        while (run.lane.writing !== undefined) await run.lane.writing.catch(() => {});
        if (run.batch !== undefined && run.isWhole) await this.endings.handBack(run, run.batch);
      }),
    );
  }

  private begin(run: LaneRun, turn: RunningTurn): void {
    const { lane } = run;
    // Where runs are beside each other, the driver has read what they need.
    const isComplete = lane.hasConcurrent || lane.toRead.length === 0;
    const first = isComplete ? run.toRecord() : undefined;
    if (!isComplete || first !== undefined) return this.afterPreparing(run, turn, this.prepare(run, first, isComplete));
    this.execute(run, turn, run.take(this.options.time.now()));
  }

  private afterPreparing(run: LaneRun, turn: RunningTurn, preparing: Promise<Batch | undefined>): void {
    preparing
      .then((batch) => {
        if (batch !== undefined && turn.isAbandoned) this.attemptOver(run, batch, 'discarded', STOPPED);
        if (batch === undefined || turn.isAbandoned) return this.ended(run, turn);
        // A process that is stopped in between goes on here, when its session may be another worker's (L4).
        if (run.lane.home.state === 'open' && !this.options.mayStart(run.lane.home.shard))
          return this.putBack(run, turn);
        this.execute(run, turn, batch);
        this.onPrepared(run.lane);
      })
      .catch((error: unknown) => this.failed(run, turn, error));
  }

  /** It was taken, and has not begun: the same attempt begins when that is certain again. */
  private putBack(run: LaneRun, turn: RunningTurn): void {
    run.end(this.options.clock.now());
    this.ended(run, turn);
  }

  /** Undefined when the lane cannot go on with its turn now; the end of this one drives it on. */
  private async prepare(run: LaneRun, known: RunInWork | undefined, isComplete: boolean): Promise<Batch | undefined> {
    if (!isComplete && !(await this.readAgain(run))) return undefined;
    const first = known ?? run.toRecord();
    return first === undefined ? run.take(this.options.time.now()) : await this.record(run, first);
  }

  private execute(run: LaneRun, turn: RunningTurn, batch: Batch): void {
    const { turns } = this.options;
    const { lane } = run;
    this.onTaken(lane, batch);
    const { headSeq, head } = lane;
    if (batch.isCondemned) return this.endAfter(run, turn, this.condemn(run, batch));
    const execution = new TurnExecution(lane.key, batch, head.state, headSeq, turns.policyOf(lane.key), this.options);
    turn.execution = execution;
    execution.runTo((executed) => {
      try {
        this.executed(run, turn, execution, batch, executed);
      } catch (error) {
        this.failed(run, turn, error);
      }
    });
  }

  private executed(
    run: LaneRun,
    turn: RunningTurn,
    execution: TurnExecution,
    batch: Batch,
    executed: ExecutedTurn,
  ): void {
    if (executed.isLeaked) {
      this.leakedTurns++;
      this.options.log.warn({ runId: batch.runId, leaked: this.leakedTurns }, 'a handler ignores its abort');
    }
    // Another record of this lane may be on its way: its head is the one to go on from.
    if (run.lane.writing === undefined) return this.close(run, turn, execution, batch, executed);
    whenWritten(
      run.lane,
      () => this.close(run, turn, execution, batch, executed),
      (error) => this.failed(run, turn, error),
    );
  }

  private close(run: LaneRun, turn: RunningTurn, execution: TurnExecution, batch: Batch, executed: ExecutedTurn): void {
    if (execution.isAbandoned) {
      this.attemptOver(run, batch, 'discarded', executed);
      return this.ended(run, turn);
    }
    if (!run.isWhole) {
      this.countDiscarded(batch.runId);
      run.end(this.options.clock.now());
      this.attemptOver(run, batch, 'discarded', executed);
      return this.ended(run, turn);
    }
    this.commit(run, turn, batch, executed);
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

  /** Whether nothing came in between while something was awaited. */
  private mayResume(run: LaneRun): boolean {
    const { lane } = run;
    const isOurs = lane.home.state === 'open' && !lane.isStopped && this.options.mayStart(lane.home.shard);
    const mayBegin = run.isConcurrent || lane.mayBeginInTurn;
    return isOurs && mayBegin && run.canTake(this.options.time.now());
  }

  /** The batch, taken in the moment in which the record stands; undefined when the lane cannot go on with it. */
  private async record(run: LaneRun, content: RunInWork): Promise<Batch | undefined> {
    const { log, time } = this.options;
    const { runId, attempt, crashes, quarantined = false } = content;
    log.warn({ runId, attempt, crashes, quarantined }, 'a turn runs again whose worker is gone');
    let batch: Batch | undefined;
    const result = await this.writer.before(run, content, () => {
      if (this.mayResume(run)) batch = run.take(time.now());
      return batch !== undefined;
    });
    if (result === 'unsendable') throw new Error('what has to stand before a turn cannot be sent');
    return batch;
  }

  private async condemn(run: LaneRun, batch: Batch): Promise<void> {
    const result = await this.endings.condemn(run, batch, STOPPED);
    if (result === 'unsendable') throw new Error('the record of a condemned turn cannot be sent');
    this.attemptOver(run, batch, result === 'won' ? 'ended' : 'discarded', STOPPED);
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
      .catch((error: unknown) => this.failed(run, turn, error));
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
    if (result === 'lost') this.countDiscarded(batch.runId);
    const next = run.lane.home.state === 'closed' ? 'again-elsewhere' : 'again';
    const stands = isEnd ? 'ended' : next;
    this.attemptOver(run, batch, result === 'won' ? stands : 'discarded', executed);
    this.ended(run, turn);
  }

  private attemptOver({ lane }: LaneRun, batch: Batch, how: AttemptFate, { isLeaked }: AttemptEnd): void {
    this.options.turns.tasks?.attemptOver(lane.key, batch, how, { isLeaked });
  }

  private countDiscarded(runId: string | undefined): void {
    this.discardedTurns++;
    this.options.log.warn({ runId, discarded: this.discardedTurns }, 'result discarded: another record stands');
  }
}
