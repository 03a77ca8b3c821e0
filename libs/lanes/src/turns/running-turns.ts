import { type CancelTarget, type SessionTokens, laneId } from '#contracts';
import { matchesTarget } from '../lane/next-cancel.js';
import type { Lane, LaneRun } from '../lane/lane.js';
import type { RecordWriter } from '../records/record-writer.js';
import type { Batch } from '../turn-rules/batch.js';
import type { LaneRefill } from './lane-refill.js';
import { Quarantine } from './quarantine.js';
import { RunTable } from './run-table.js';
import { RunningTurn, STOPPED, TurnPath, type TurnPathOptions } from './turn-path.js';

/**
 * The turns that run in this process: which they are, and what others may ask of them. The way of each one, and the names of
 * its states, stand in `turn-path`.
 *
 * A turn whose shard was given away in the meantime goes its way to its record, and its lane ends there. One whose shard was
 * lost is discarded: its `Turn` is dead, and nothing of it is written.
 */
export class RunningTurns {
  private readonly turns = new RunTable<RunningTurn>();
  private readonly quarantine = new Quarantine();
  private readonly path: TurnPath;
  private endListeners: (() => void)[] = [];
  private leakedTurns = 0;
  private discardedTurns = 0;

  constructor(
    private readonly options: TurnPathOptions,
    writer: RecordWriter,
    refill: LaneRefill,
    onTaken: (lane: Lane, batch: Batch) => void,
    /** Its turn runs. While that was prepared the lane could write nothing, and an order to it found nothing to stop. */
    onPrepared: (lane: Lane) => void,
  ) {
    this.path = new TurnPath(options, writer, refill, {
      onTaken,
      onPrepared,
      onLeaked: (runId) => this.countLeaked(runId),
      onDiscarded: (runId) => this.countDiscarded(runId),
      onOver: (run, turn) => this.over(run, turn),
      onCrashed: (run, turn, error) => this.crashed(run, turn, error),
    });
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

  /** False: its kind runs one at a time, and another one does. */
  wouldAdmit(run: LaneRun): boolean {
    return !run.needsQuarantine || this.quarantine.isFreeFor(run);
  }

  /** `onEnd` of the turn that is in its way names it. */
  waitToBeAdmitted(run: LaneRun): void {
    this.quarantine.wait(run);
  }

  /** To be called before `start`. False: as `wouldAdmit`, and the run waits. */
  admit(run: LaneRun): boolean {
    return !run.needsQuarantine || this.quarantine.enter(run);
  }

  /** Runs a run's next turn; call only for one that can take one. `onEnd` gets the runs that waited for its end. */
  start(run: LaneRun, onEnd: (waited: readonly LaneRun[]) => void): void {
    const turn = new RunningTurn(onEnd);
    this.turns.set(run, turn);
    try {
      this.path.begin(run, turn);
    } catch (error) {
      this.crashed(run, turn, error);
    }
  }

  /** Aborts what runs these messages of the lane. */
  cancel(lane: Lane, seqs: readonly number[]): void {
    for (const run of lane.running) {
      const matching = (run.batch?.items ?? []).map(({ seq }) => seq).filter((seq) => seqs.includes(seq));
      if (matching.length > 0) this.turns.get(run)?.execution?.cancel(matching);
    }
  }

  /** For the owner of a session whose turn still runs here; nothing when it is ours again: then its own lane has the order. */
  cancelInHandoff(key: Pick<SessionTokens, 'agentToken' | 'sessionToken'>, target: CancelTarget): void {
    const lane = this.find(key);
    if (lane?.home.state === 'open') return;
    const matching = (lane?.running ?? []).flatMap(({ batch }) =>
      (batch?.items ?? []).map(({ seq }) => seq).filter((seq) => matchesTarget(target, seq, batch?.runId)),
    );
    if (lane !== undefined && matching.length > 0) this.cancel(lane, matching);
  }

  /** The lane of a session of which a turn runs here, also when another worker owns its shard. */
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
   * Discards turns of shards that are not ours any more, and that another worker runs again: while this process said nothing,
   * the owner may have given them up for dead.
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
   * Aborts what still runs. A note hands the batch back, so that its next attempt begins at once and counts no crash. What it
   * held stays behind: the handler may still be at work. The task of a message for an outside agent has no next attempt then:
   * whether that agent stops is not known (G2).
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
        await this.path.handBack(run);
      }),
    );
  }

  private over(run: LaneRun, turn: RunningTurn): void {
    if (this.turns.get(run) !== turn) return;
    this.turns.delete(run);
    const listeners = this.endListeners;
    if (listeners.length > 0) {
      this.endListeners = [];
      for (const listener of listeners) listener();
    }
    turn.onEnd(this.quarantine.leave(run));
  }

  /** Only a bug comes here. Its session stops; the process, and with it every other session, goes on (L6). */
  private crashed(run: LaneRun, turn: RunningTurn, error: unknown): void {
    // When it is over already, something that went on behind it has failed, and perhaps its run is at work again.
    if (this.turns.get(run) !== turn) return this.options.log.error({ error: String(error) }, 'a lane cannot go on');
    run.lane.isStopped = true;
    if (run.batch !== undefined) this.path.attemptOver(run, run.batch, 'discarded', STOPPED);
    this.options.log.error({ ...run.lane.key, error: String(error) }, 'turn crashed internally: its session stops');
    this.over(run, turn);
  }

  private countLeaked(runId: string): void {
    this.leakedTurns++;
    this.options.log.warn({ runId, leaked: this.leakedTurns }, 'a handler ignores its abort');
  }

  private countDiscarded(runId: string | undefined): void {
    this.discardedTurns++;
    this.options.log.warn({ runId, discarded: this.discardedTurns }, 'result discarded: another record stands');
  }
}
