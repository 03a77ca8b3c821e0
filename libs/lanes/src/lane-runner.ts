import type { Clock, SessionAnswer, SessionTokens } from '#contracts';
import type { Logger } from '#telemetry';
import { checkSessionTokens, readInboxItem, type RawInboxMessage } from './inbox-item.js';
import { describeLane } from './lane-description.js';
import { Lane, type Batch } from './lane.js';
import type { RecordStore, TurnRunner } from './lane-ports.js';
import { LaneWriter, type WriteResult } from './lane-writer.js';
import { RetryTimers } from './retry-timers.js';
import { dead, settle, type Ending } from './settlement.js';
import { TurnExecution, type ExecutedTurn } from './turn-execution.js';
import { TurnSlots } from './turn-slots.js';

/**
 * Runs the lanes of a worker: read -> lane -> take -> run -> settle -> commit. Every step is a part of its own; what is
 * here is their order, and the rule that whatever ends (a read, a write, a turn, a free slot) drives its lane on, so that
 * no lane needs another message to move (stranded messages are the best-known defect of in-process queues).
 */

export interface LaneRunnerOptions {
  readonly store: RecordStore;
  readonly turns: TurnRunner;
  readonly clock: Clock;
  readonly newCommitId: () => string;
  /** In [0, 1); spreads the backoffs. */
  readonly random: () => number;
  /** Incarnation of this worker process. */
  readonly worker: string;
  /** How many turns run at once. */
  readonly capacity: number;
  readonly log: Logger;
}

interface RunningTurn {
  readonly execution: TurnExecution;
  readonly done: Promise<void>;
}

/** A head that cannot be read holds its own lane alone; it is tried again after this. */
const HEAD_RETRY_MS = 30_000;

export class LaneRunner {
  private readonly lanes = new Map<string, Lane>();
  private readonly turnsInWork = new Map<Lane, RunningTurn>();
  /** Lanes that wait for a slot. */
  private readonly ready = new Set<Lane>();
  /** Lanes whose frozen batch is not wholly read yet. */
  private readonly incomplete = new Set<Lane>();
  /** Shards of which everything that was stored when reading began has been received. */
  private readonly readShards = new Set<number>();
  private readonly writer: LaneWriter;
  private readonly slots: TurnSlots;
  private readonly retries: RetryTimers;
  private leakedTurns = 0;
  private isStopping = false;

  constructor(private readonly options: LaneRunnerOptions) {
    this.writer = new LaneWriter(options);
    this.slots = new TurnSlots(options.capacity);
    this.retries = new RetryTimers(options.clock);
  }

  get running(): number {
    return this.turnsInWork.size;
  }

  /** Handlers that did not stop when they were asked to, since the start. */
  get leaked(): number {
    return this.leakedTurns;
  }

  /**
   * Takes a message that was read; `isRecovery` says that it was stored before this process began to read, so that a
   * former process may have begun its turn.
   */
  receive(key: SessionTokens, raw: RawInboxMessage, isRecovery: boolean): void {
    const lane = this.laneFor(key, isRecovery);
    const item = readInboxItem(raw, lane.tokenProblem);
    if (lane.arrive(item) && lane.isOpen) this.drive(lane);
  }

  /** Everything that was stored when reading began has been received. */
  caughtUp(shard: number): void {
    this.readShards.add(shard);
    for (const lane of [...this.incomplete]) {
      if (lane.key.shard !== shard) continue;
      lane.giveUpOnMissing();
      this.drive(lane);
    }
  }

  describe(agentToken: string, sessionToken: string): SessionAnswer {
    const lane = this.lanes.get(laneId({ agentToken, sessionToken }));
    const startedAt = lane === undefined ? undefined : this.turnsInWork.get(lane)?.execution.startedAt;
    return describeLane(lane, startedAt, this.options.clock.now(), this.options.worker);
  }

  /** Starts no further turn. */
  stopStarting(): void {
    this.isStopping = true;
    this.retries.cancelAll();
  }

  /** Resolves when no turn runs. */
  async whenIdle(): Promise<void> {
    while (this.turnsInWork.size > 0) await Promise.race([...this.turnsInWork.values()].map(({ done }) => done));
  }

  /** Aborts what still runs. It is recorded nowhere, and the next owner runs it again. */
  abortAll(): void {
    for (const { execution } of this.turnsInWork.values()) execution.abandon();
  }

  private laneFor(key: SessionTokens, isRecovery: boolean): Lane {
    const id = laneId(key);
    const known = this.lanes.get(id);
    if (known !== undefined) return known;
    const lane = new Lane(key, this.tokenProblem(key));
    this.lanes.set(id, lane);
    void this.load(lane, isRecovery);
    return lane;
  }

  private async load(lane: Lane, isRecovery: boolean): Promise<void> {
    const { store, clock, log } = this.options;
    try {
      const reading = isRecovery ? store.loadCutTurn(lane.key) : undefined;
      const head = await store.loadHead(lane.key);
      lane.open(head, await reading);
      // The reader may have been faster than the head: it will not say again that it has caught up.
      if (this.readShards.has(lane.key.shard)) lane.giveUpOnMissing();
      this.drive(lane);
    } catch (error) {
      log.error({ ...lane.key, error: String(error) }, 'session waits: its last record cannot be read');
      clock.after(HEAD_RETRY_MS, () => void this.load(lane, isRecovery));
    }
  }

  /** Does the next thing that the lane needs. Called whenever something about it ended. */
  private drive(lane: Lane): void {
    if (this.isStopping || !lane.isOpen || lane.writing !== undefined) return;
    if (lane.isIncomplete) this.incomplete.add(lane);
    else if (this.incomplete.size > 0) this.incomplete.delete(lane);
    const run = lane.runToFence;
    if (run !== undefined) return this.follow(lane, this.writer.note(lane, [], run));
    if (lane.hasToReject) return this.follow(lane, this.reject(lane));
    const now = this.options.clock.now();
    this.retries.set(lane, lane.retryAt, now, () => this.drive(lane));
    if (!lane.canTake(now) || this.ready.has(lane)) return;
    this.ready.add(lane);
    this.slots.acquire(lane.oldestWaiting?.seq ?? 0, () => this.start(lane));
  }

  /** A write beside or between turns: when it is done, the lane goes on. */
  private follow(lane: Lane, write: Promise<WriteResult>): void {
    void write.then(
      (result) => {
        if (result !== 'abandoned') this.drive(lane);
      },
      (error: unknown) => this.options.log.error({ ...lane.key, error: String(error) }, 'a note failed'),
    );
  }

  private reject(lane: Lane): Promise<WriteResult> {
    const messages = lane.toReject.map(({ id, seq, content }) => ({
      id,
      seq,
      decision: 'rejected' as const,
      reason: content.ok ? 'unknown reason' : content.problem,
    }));
    this.options.log.warn({ ...lane.key, seqs: messages.map(({ seq }) => seq) }, 'messages rejected');
    return this.writer.note(lane, messages);
  }

  private start(lane: Lane): void {
    this.ready.delete(lane);
    if (this.isStopping) return;
    // Between the wish for a slot and its grant a record may have changed the lane.
    if (lane.writing !== undefined || !lane.canTake(this.options.clock.now())) {
      this.slots.release();
      this.drive(lane);
      return;
    }
    const { headSeq, head } = lane;
    const batch = lane.take(this.options.clock.now());
    const policy = this.options.turns.policyOf(lane.key);
    const execution = new TurnExecution(lane.key, batch, head.state, headSeq, policy, this.options);
    const done = this.run(lane, batch, execution)
      .catch((error: unknown) => {
        // Only a bug comes here. Its session stops; the process, and with it every other session, goes on (L6).
        this.options.log.error({ runId: batch.runId, error: String(error) }, 'a turn came to no end');
      })
      .finally(() => {
        this.turnsInWork.delete(lane);
        this.slots.release();
        this.drive(lane);
      });
    this.turnsInWork.set(lane, { execution, done });
  }

  private async run(lane: Lane, batch: Batch, execution: TurnExecution): Promise<void> {
    const executed = await execution.run();
    if (executed.isLeaked) {
      this.leakedTurns++;
      this.options.log.warn({ runId: batch.runId, leaked: this.leakedTurns }, 'a handler ignores its abort');
    }
    // A note of this lane may be on its way: its head is the one to go on from.
    while (lane.writing !== undefined) await lane.writing;
    if (execution.isAbandoned) return;
    if (!lane.batchIsWhole) {
      this.options.log.warn({ runId: batch.runId }, 'result discarded: another record decided this batch');
      lane.endTurn();
      return;
    }
    if ((await this.commit(lane, batch, executed)) !== 'abandoned') lane.endTurn();
  }

  private async commit(lane: Lane, batch: Batch, { outcome, times }: ExecutedTurn): Promise<WriteResult> {
    const { clock, log, random, turns } = this.options;
    const settlement = settle(outcome, batch, turns.policyOf(lane.key), clock.now(), random());
    if (settlement.kind === 'end') return this.end(lane, batch, settlement, times);
    const { attempt, notBefore, laterSince, error } = settlement;
    log.warn({ runId: batch.runId, attempt, error: error.name, notBefore }, 'turn failed and runs again');
    const seqs = batch.items.map(({ seq }) => seq);
    const { runId, crashes } = batch;
    const run = { runId, seqs, attempt, crashes, notBefore, ...(laterSince === undefined ? {} : { laterSince }) };
    return this.writer.note(lane, [], run);
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

  private tokenProblem(key: SessionTokens): string | undefined {
    const problem = checkSessionTokens(key);
    if (problem !== undefined) return problem;
    return this.options.turns.knows(key) ? undefined : 'no agent of this name is configured';
  }
}

function laneId(key: { readonly agentToken: string; readonly sessionToken: string }): string {
  return `${key.agentToken}.${key.sessionToken}`;
}
