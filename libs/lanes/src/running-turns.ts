import type { CancelTarget, Clock, RunInWork, SessionTokens } from '#contracts';
import type { Logger } from '#telemetry';
import { isMeant } from './lane-cancel.js';
import { runOf, type Batch } from './batch.js';
import type { Lane } from './lane.js';
import type { RecordStore, TurnRunner } from './lane-ports.js';
import type { LaneRefill } from './lane-refill.js';
import { laneId } from './lane-table.js';
import type { LaneWriter, WriteResult } from './lane-writer.js';
import { Quarantine } from './quarantine.js';
import { dead, settle, type Ending } from './settlement.js';
import { TurnExecution, type ExecutedTurn } from './turn-execution.js';

/**
 * The turns that run in this process, from the granted slot to the record that ends them:
 *
 *   read again what was not kept -> record what has to stand before -> take -> execute -> settle -> commit
 *
 * A turn whose shard was given away in the meantime goes the same way to its record, and its lane ends there. One whose
 * shard was lost is discarded: its `Turn` is dead, and nothing of it is written.
 */

export interface RunningTurnsOptions {
  readonly store: RecordStore;
  readonly turns: TurnRunner;
  readonly clock: Clock;
  readonly random: () => number;
  readonly worker: string;
  readonly mayStart: (shard: number) => boolean;
  readonly log: Logger;
}

interface RunningTurn {
  execution?: TurnExecution;
  done: Promise<void>;
}

export class RunningTurns {
  private readonly turns = new Map<Lane, RunningTurn>();
  private readonly quarantine = new Quarantine();
  private leakedTurns = 0;
  private discardedTurns = 0;

  constructor(
    private readonly options: RunningTurnsOptions,
    private readonly writer: LaneWriter,
    private readonly refill: LaneRefill,
    private readonly onTaken: (lane: Lane, batch: Batch) => void,
  ) {}

  get count(): number {
    return this.turns.size;
  }
  get leaked(): number {
    return this.leakedTurns;
  }
  get discarded(): number {
    return this.discardedTurns;
  }

  has(lane: Lane): boolean {
    return this.turns.has(lane);
  }

  startedAt(lane: Lane): number | undefined {
    return this.turns.get(lane)?.execution?.startedAt;
  }

  /** False: its kind runs one at a time, and another one does. `onEnd` names it when its turn has come. */
  admits(lane: Lane): boolean {
    return !lane.needsQuarantine || this.quarantine.enter(lane);
  }

  /** Runs the lane's next turn; call only for a lane that can take one. `onEnd` gets the lanes that waited for its end. */
  start(lane: Lane, onEnd: (waited: readonly Lane[]) => void): void {
    const turn: RunningTurn = { done: Promise.resolve() };
    this.turns.set(lane, turn);
    turn.done = this.run(lane, turn)
      .catch((error: unknown) => {
        // Only a bug comes here. Its session stops; the process, and with it every other session, goes on (L6).
        lane.isStopped = true;
        this.options.log.error({ ...lane.key, error: String(error) }, 'a turn came to no end');
      })
      .finally(() => {
        this.turns.delete(lane);
        onEnd(this.quarantine.leave(lane));
      });
  }

  cancel(lane: Lane, seqs: readonly number[]): void {
    this.turns.get(lane)?.execution?.cancel(seqs);
  }

  /** For the owner of a session whose turn still runs here; nothing when it is ours again: then its own lane has the order. */
  cancelHeld(key: Pick<SessionTokens, 'agentToken' | 'sessionToken'>, target: CancelTarget): void {
    const lane = this.find(key);
    if (lane?.home.state === 'open') return;
    const seqs = (lane?.running?.items ?? []).map(({ seq }) => seq);
    const meant = seqs.filter((seq) => isMeant(target, seq, lane?.running?.runId));
    if (lane !== undefined && meant.length > 0) this.cancel(lane, meant);
  }

  /** The lane of a session whose turn runs here, whoever owns its shard. */
  find(key: Pick<SessionTokens, 'agentToken' | 'sessionToken'>): Lane | undefined {
    const id = laneId(key);
    for (const lane of this.turns.keys()) if (laneId(lane.key) === id && lane.running !== undefined) return lane;
    return undefined;
  }

  /** Somebody else runs it again: its `Turn` is dead, and its result counts for nothing. */
  discard(lane: Lane): void {
    const execution = this.turns.get(lane)?.execution;
    // Its result is on its way to the broker, which judges it.
    if (execution?.isRunning !== true) return;
    execution.abandon();
    this.countDiscarded(lane.running?.runId);
  }

  /**
   * Looks after the turns of shards that are not ours any more: while this process said nothing, their owner may have
   * given them up for dead and run them again.
   */
  async discardOverrun(): Promise<void> {
    const letGo = [...this.turns.keys()].filter(({ home, running }) => home.state !== 'open' && running !== undefined);
    await Promise.all(
      letGo.map(async (lane) => {
        const { seq } = await this.options.store.loadHead(lane.key);
        if (seq > lane.headSeq && lane.writing === undefined) this.discard(lane);
      }),
    );
  }

  /** Resolves when no turn runs. */
  async whenIdle(): Promise<void> {
    while (this.turns.size > 0) await this.anyEnd();
  }

  /** Resolves when one of those that run now has ended. */
  async anyEnd(): Promise<void> {
    await Promise.race([...this.turns.values()].map(({ done }) => done));
  }

  /** Aborts what still runs. A note hands the batch back, so that its next attempt waits for nobody and counts no crash. */
  async handBackAll(): Promise<void> {
    await Promise.all(
      [...this.turns].map(async ([lane, { execution }]) => {
        execution?.abandon();
        await lane.writing;
        const { running } = lane;
        if (running !== undefined && lane.batchIsWhole) await this.writer.again(lane, nextAttempt(running));
      }),
    );
  }

  private async run(lane: Lane, turn: RunningTurn): Promise<void> {
    const { turns, clock } = this.options;
    if (lane.toRead.length > 0 && !(await this.readAgain(lane))) return;
    const first = lane.runToRecord();
    const batch = first === undefined ? lane.take(clock.now()) : await this.record(lane, first);
    if (batch === undefined) return;
    this.onTaken(lane, batch);
    const { headSeq, head } = lane;
    if (batch.isCondemned) return this.condemn(lane, batch);
    const execution = new TurnExecution(lane.key, batch, head.state, headSeq, turns.policyOf(lane.key), this.options);
    turn.execution = execution;
    const executed = await execution.run();
    if (executed.isLeaked) {
      this.leakedTurns++;
      this.options.log.warn({ runId: batch.runId, leaked: this.leakedTurns }, 'a handler ignores its abort');
    }
    // A note of this lane may be on its way: its head is the one to go on from.
    while (lane.writing !== undefined) await lane.writing;
    if (execution.isAbandoned) return;
    if (!lane.batchIsWhole) {
      this.countDiscarded(batch.runId);
      lane.endTurn(clock.now());
      return;
    }
    if ((await this.commit(lane, batch, executed)) === 'lost') this.countDiscarded(batch.runId);
  }

  /** False when the lane cannot go on with its turn now; the end of this one drives it on. */
  private async readAgain(lane: Lane): Promise<boolean> {
    await this.refill.read(lane, lane.toRead);
    // The rest of a frozen batch, or what came instead of messages that are gone, is read in another go.
    if (lane.backlog.waiting.length === 0 || (lane.nextRun !== undefined && lane.toRead.length > 0)) return false;
    return lane.writing === undefined && this.mayGoOn(lane);
  }

  /** Whether nothing came in between while something was awaited. */
  private mayGoOn(lane: Lane): boolean {
    const isOurs = lane.home.state === 'open' && !lane.isStopped && this.options.mayStart(lane.key.shard);
    return isOurs && lane.backlog.controls.length === 0 && lane.canTake(this.options.clock.now());
  }

  /** The batch, taken in the moment in which the record stands; undefined when the lane cannot go on with it. */
  private async record(lane: Lane, run: RunInWork): Promise<Batch | undefined> {
    const { log, clock } = this.options;
    const { runId, attempt, crashes, quarantined = false } = run;
    log.warn({ runId, attempt, crashes, quarantined }, 'a turn runs again whose worker is gone');
    let batch: Batch | undefined;
    await this.writer.before(lane, run, () => {
      if (this.mayGoOn(lane)) batch = lane.take(clock.now());
      return batch !== undefined;
    });
    return batch;
  }

  private async condemn(lane: Lane, batch: Batch): Promise<void> {
    const message = `it ended its worker ${batch.crashes + 1} times, the last time while it ran alone`;
    const at = this.options.clock.now();
    await this.writer.turn(lane, batch, dead({ name: 'worker_crashed', message }), { startedAt: at, endedAt: at });
  }

  private async commit(lane: Lane, batch: Batch, { outcome, times }: ExecutedTurn): Promise<WriteResult> {
    const { clock, log, random, turns } = this.options;
    const settlement = settle(outcome, batch, turns.policyOf(lane.key), clock.now(), random());
    if (settlement.kind === 'end') return this.end(lane, batch, settlement, times);
    const { attempt, failures, notBefore, laterSince, error } = settlement;
    log.warn({ runId: batch.runId, attempt, error: error.name, notBefore }, 'turn failed and runs again');
    const later = laterSince === undefined ? {} : { laterSince };
    const { laterSince: _former, ...run } = runOf(batch);
    return this.writer.again(lane, { ...run, attempt, failures, notBefore, ...later });
  }

  private async end(lane: Lane, batch: Batch, ending: Ending, times: ExecutedTurn['times']): Promise<WriteResult> {
    try {
      return await this.writer.turn(lane, batch, ending, times);
    } catch (error) {
      // A bug or a value that JSON cannot hold: the turn fails, the lane goes on.
      this.options.log.error({ runId: batch.runId, error: String(error) }, 'the record of a turn cannot be made');
      return this.writer.turn(lane, batch, dead({ name: 'record_failed', message: String(error) }), times);
    }
  }

  private countDiscarded(runId: string | undefined): void {
    this.discardedTurns++;
    this.options.log.warn(
      { runId, discarded: this.discardedTurns },
      'result discarded: somebody else decided this batch',
    );
  }
}

function nextAttempt(batch: Batch): RunInWork {
  return { ...runOf(batch), attempt: batch.attempt + 1 };
}
