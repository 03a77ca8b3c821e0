import type { Clock, SessionAnswer, SessionTokens } from '#contracts';
import type { Logger } from '#telemetry';
import { checkSessionTokens, readInboxItem, type RawInboxMessage } from './inbox-item.js';
import { nextCancelStep } from './lane-cancel.js';
import { describeLane } from './lane-description.js';
import { LaneHolds, type HoldEnd, type Holders } from './lane-holds.js';
import { Lane, type LaneHome } from './lane.js';
import type { RecordStore, TurnRunner } from './lane-ports.js';
import { keyOfLane, laneId, ShardLanes, type LaneProgress } from './lane-table.js';
import { LaneWriter, type WriteResult } from './lane-writer.js';
import { RetryTimers } from './retry-timers.js';
import { RunningTurns } from './running-turns.js';
import { TurnSlots } from './turn-slots.js';

/**
 * Runs the lanes of a worker: read -> lane -> take -> run -> settle -> commit. Every step is a part of its own; what is
 * here is their order, and the rule that whatever ends (a read, a write, a turn, a free slot, a hold) drives its lane on,
 * so that no lane needs another message to move (stranded messages are the best-known defect of in-process queues).
 *
 * Lanes live in shards that come and go (`openShard`, `releaseShard`, `dropShard`). A lane whose shard is released while
 * its turn runs is let go: the turn ends and commits here, and nothing else of the session happens here any more.
 */

export interface LaneRunnerOptions {
  readonly store: RecordStore;
  readonly turns: TurnRunner;
  readonly holders: Holders;
  readonly clock: Clock;
  readonly newCommitId: () => string;
  /** In [0, 1); spreads the backoffs. */
  readonly random: () => number;
  /** Incarnation of this worker process. */
  readonly worker: string;
  /** How many turns run at once. */
  readonly capacity: number;
  /** Whether this process certainly owns the shard now, by its own clock (L4). When it does again, `goOn` is called. */
  readonly mayStart: (shard: number) => boolean;
  readonly log: Logger;
}

/** A head that cannot be read holds its own lane alone; it is tried again after this. */
const HEAD_RETRY_MS = 30_000;

export class LaneRunner {
  private readonly shards = new Map<number, ShardLanes>();
  /** Lanes that wait for a slot. */
  private readonly ready = new Set<Lane>();
  /** Lanes that had their slot while it was in doubt whether their shard is ours. */
  private readonly doubtful = new Set<Lane>();
  /** Lanes whose frozen batch is not wholly read yet. */
  private readonly incomplete = new Set<Lane>();
  private readonly writer: LaneWriter;
  private readonly turns: RunningTurns;
  private readonly slots: TurnSlots;
  private readonly retries: RetryTimers;
  private readonly holds: LaneHolds;

  constructor(private readonly options: LaneRunnerOptions) {
    this.writer = new LaneWriter({
      ...options,
      onRecord: (lane) => this.shards.get(lane.key.shard)?.sawRecord(lane.headSeq),
    });
    this.turns = new RunningTurns(options, this.writer);
    this.slots = new TurnSlots(options.capacity);
    this.retries = new RetryTimers(options.clock);
    this.holds = new LaneHolds(options.store, options.holders, options.clock, (lane, end) => this.unhold(lane, end));
  }

  get running(): number {
    return this.turns.count;
  }
  /** Lanes that wait for nothing but a slot. Those of a shard that was given away stand in the queue, and do not count. */
  get waiting(): number {
    return [...this.ready].filter(({ home }) => home.state === 'open').length;
  }
  /** Handlers that did not stop when they were asked to, since the start. */
  get leaked(): number {
    return this.turns.leaked;
  }
  /** Results of turns that somebody else had decided in the meantime, since the start. */
  get discarded(): number {
    return this.turns.discarded;
  }

  /** From here on the shard is ours. Of the open lanes, what lies at or below `read` is received like everything else. */
  openShard(shard: number, start: LaneProgress): void {
    const home = new ShardLanes(shard, start);
    this.shards.set(shard, home);
    for (const { session, from, holder, since } of start.open) {
      const lane = this.addLane(home, keyOfLane(session, shard));
      lane.unreadFrom = from;
      if (holder !== undefined && since !== undefined) lane.hold = { holder, since };
      void this.load(lane, from);
    }
  }

  /** Takes a message that was read. */
  receive(key: SessionTokens, raw: RawInboxMessage): void {
    const home = this.shards.get(key.shard);
    if (home?.state !== 'open') return;
    let lane = home.find(laneId(key));
    if (lane === undefined) {
      lane = this.addLane(home, key);
      void this.load(lane, raw.seq);
    }
    const item = readInboxItem(raw, lane.tokenProblem);
    home.sawUpTo(raw.seq);
    if (!lane.arrive(item)) return;
    home.touch(lane);
    if (lane.hold !== undefined) this.holds.passCancels(lane);
    if (lane.isOpen) this.drive(lane);
  }

  /** What an open lane had at or below the shard's `read` was received. */
  receivedOpen(key: SessionTokens): void {
    const home = this.shards.get(key.shard);
    // What is not received any more, since the shard is being given away, is still to be read by the next owner.
    if (home?.state !== 'open') return;
    const lane = home.find(laneId(key));
    if (lane !== undefined) lane.unreadFrom = undefined;
  }

  /** Everything that was stored when reading began has been received. */
  caughtUp(shard: number): void {
    const home = this.shards.get(shard);
    if (home === undefined) return;
    home.isCaughtUp = true;
    for (const lane of [...this.incomplete]) {
      if (lane.home !== home) continue;
      lane.giveUpOnMissing();
      this.drive(lane);
    }
  }

  /** There are no messages of the shard up to here but those that were received. */
  sawNothingUpTo(shard: number, seq: number): void {
    this.shards.get(shard)?.sawUpTo(seq);
  }

  readTo(shard: number): number {
    return this.shards.get(shard)?.readTo ?? 0;
  }

  progress(shard: number): LaneProgress | undefined {
    return this.shards.get(shard)?.progress();
  }

  runningIn(shard: number): number {
    return this.shards.get(shard)?.busy.length ?? 0;
  }

  /** The shard is certainly ours (again): what waited for that goes on. */
  goOn(shard: number): void {
    for (const lane of [...this.doubtful]) {
      if (lane.key.shard !== shard) continue;
      this.doubtful.delete(lane);
      this.drive(lane);
    }
  }

  /**
   * Gives the shard away: nothing of it begins any more, and what is being written is awaited. What runs then, of
   * `maxHeld` sessions at most, is let go with this process as its holder. From the call on nothing is received.
   */
  async releaseShard(shard: number, maxHeld = Number.POSITIVE_INFINITY): Promise<LaneProgress> {
    const home = this.shards.get(shard);
    if (home === undefined) throw new Error(`shard ${shard} is not open`);
    home.state = 'releasing';
    for (;;) {
      const writes = home.open.flatMap(({ writing }) => (writing === undefined ? [] : [writing]));
      if (writes.length > 0) await Promise.all(writes);
      else if (home.busy.filter((lane) => this.turns.has(lane)).length > maxHeld) await this.turns.anyEnd();
      else break;
    }
    // Another record has decided their batch: they come to nothing, and nobody is to wait for them.
    for (const lane of home.busy) if (!lane.batchIsWhole) this.turns.discard(lane);
    const progress = home.progress(this.options.worker);
    this.close(home);
    return progress;
  }

  /** The shard was lost: what runs of it is the work of a zombie, and somebody else runs it again. */
  dropShard(shard: number): void {
    const home = this.shards.get(shard);
    if (home === undefined) return;
    for (const lane of home.busy) this.turns.discard(lane);
    this.close(home);
  }

  describe(key: Pick<SessionTokens, 'agentToken' | 'sessionToken' | 'shard'>): SessionAnswer {
    const lane = this.shards.get(key.shard)?.find(laneId(key));
    const startedAt = lane === undefined ? undefined : this.turns.startedAt(lane);
    return describeLane(lane, startedAt, this.options.clock.now(), this.options.worker);
  }

  /** The turns that run here, of our shards and of those that were let go. */
  get work(): RunningTurns {
    return this.turns;
  }

  private close(home: ShardLanes): void {
    home.state = 'closed';
    if (this.shards.get(home.shard) === home) this.shards.delete(home.shard);
    for (const lane of home.all) {
      this.retries.cancel(lane);
      this.holds.forget(lane);
      this.doubtful.delete(lane);
      this.incomplete.delete(lane);
    }
  }

  private addLane(home: ShardLanes, key: SessionTokens): Lane {
    const lane = new Lane(key, home, this.tokenProblem(key));
    home.add(lane);
    return lane;
  }

  private async load(lane: Lane, firstSeq: number): Promise<void> {
    const { store, clock, log } = this.options;
    const home = lane.home as ShardLanes;
    if (home.state === 'closed') return;
    try {
      const reading = home.mayBeCut(firstSeq, 0) ? store.loadCutTurn(lane.key) : undefined;
      const loaded = await store.loadHead(lane.key);
      const cut = await reading;
      // Given away in the meantime: nobody is to wait for it here.
      if ((home as LaneHome).state === 'closed') return;
      lane.open(loaded);
      home.sawRecord(loaded.seq);
      if (lane.hold !== undefined) this.holds.watch(lane, lane.hold);
      else if (home.mayBeCut(firstSeq, loaded.seq)) lane.assumeCrash(cut, home.begunUpTo, clock.now());
      // The reader may have been faster than the head: it will not say again that it has caught up.
      if (home.isCaughtUp) lane.giveUpOnMissing();
      this.drive(lane);
    } catch (error) {
      log.error({ ...lane.key, error: String(error) }, 'session waits: its last record cannot be read');
      clock.after(HEAD_RETRY_MS, () => void this.load(lane, firstSeq));
    }
  }

  private unhold(lane: Lane, { loaded, crash }: HoldEnd): void {
    const home = lane.home as ShardLanes;
    lane.hold = undefined;
    lane.goOnFrom(loaded);
    // The holder's record: the next owner must not take a head from before it, though no owner wrote it.
    home.sawRecord(loaded.seq);
    if (crash !== undefined) lane.assumeCrash(crash.cut, Number.MAX_SAFE_INTEGER, this.options.clock.now());
    if (home.isCaughtUp) lane.giveUpOnMissing();
    this.drive(lane);
  }

  /** Does the next thing that the lane needs. Called whenever something about it ended. */
  private drive(lane: Lane): void {
    if (lane.home.state !== 'open' || !lane.isOpen || lane.isStopped) return;
    if (lane.writing !== undefined || lane.hold !== undefined) return;
    if (lane.isContested && !this.options.mayStart(lane.key.shard)) {
      this.doubtful.add(lane);
      return;
    }
    lane.isContested = false;
    if (lane.isIncomplete) this.incomplete.add(lane);
    else if (this.incomplete.size > 0) this.incomplete.delete(lane);
    if (lane.backlog.controls.length > 0) return this.cancel(lane);
    if (lane.backlog.broken.length > 0 && lane.toReject.length > 0) return this.follow(lane, this.reject(lane));
    const now = this.options.clock.now();
    this.retries.set(lane, lane.retryAt, now, () => this.drive(lane));
    if (!lane.canTake(now) || this.ready.has(lane) || this.turns.has(lane)) return;
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

  private cancel(lane: Lane): void {
    const step = nextCancelStep(lane);
    if (step?.kind === 'note') {
      const run = step.endsRun ? null : undefined;
      return this.follow(lane, this.writer.note(lane, step.messages, run));
    }
    // Its end drives the lane again.
    if (step?.kind === 'abort') this.turns.cancel(lane, step.seqs);
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

  /** The lane has a slot. */
  private start(lane: Lane): void {
    this.ready.delete(lane);
    // Between the wish for a slot and its grant a record may have changed the lane.
    const isFree = lane.home.state === 'open' && lane.writing === undefined;
    if (!isFree || lane.backlog.controls.length > 0 || !lane.canTake(this.options.clock.now())) {
      this.slots.release();
      this.drive(lane);
      return;
    }
    if (!this.options.mayStart(lane.key.shard)) {
      this.doubtful.add(lane);
      this.slots.release();
      return;
    }
    if (!this.turns.admits(lane)) return this.slots.release();
    this.turns.start(lane, (waited) => {
      this.slots.release();
      this.drive(lane);
      for (const other of waited) this.drive(other);
    });
  }

  private tokenProblem(key: SessionTokens): string | undefined {
    const problem = checkSessionTokens(key);
    if (problem !== undefined) return problem;
    return this.options.turns.knows(key) ? undefined : 'no agent of this name is configured';
  }
}
