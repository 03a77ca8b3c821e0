import { type Head, type LaneEvent, type SessionAnswer, type SessionTokens, keyOfLane, laneId } from '#contracts';
import type { InboxItem, RawInboxMessage } from '../backlog/inbox-item.js';
import type { Gap } from '../backlog/reorder-buffer.js';
import type { Batch } from '../turn-rules/batch.js';
import { IdleLanes } from './idle-lanes.js';
import { BodyBudget } from '../backlog/body-budget.js';
import { describeLane } from '../lane/describe-lane.js';
import { LaneDriver } from './lane-driver.js';
import { eventsOfArrival, eventsOfGaps, eventsOfRecord, eventsOfTaking } from '../records/lane-events.js';
import { Handoffs, type HandoffEnd } from './handoffs.js';
import { LaneLoader } from './lane-loader.js';
import { LaneTime } from '../lane/lane-time.js';
import { type LaneRun, Lane } from '../lane/lane.js';
import { LaneOptionsOfAgents } from './options-of-agents.js';
import { AGENT_MISSING_MS, MEMORY_LIMITS, type LaneRunnerOptions } from './lane-runner-options.js';
import { AgentNeeds } from './agent-needs.js';
import { MissingAgents } from './missing-agents.js';
import { LookAhead } from './look-ahead.js';
import type { HoldingRun, AttemptFate } from '../ports.js';
import { LaneRefill } from '../turns/lane-refill.js';
import { abandonedRuns } from '../lane/held-tasks.js';
import { TaskLooks } from './task-looks.js';
import { ShardLanes, type LaneProgress } from './shard-lanes.js';
import { RecordWriter } from '../records/record-writer.js';
import { ReadingRoom } from './reading-room.js';
import type { RecordDraft } from '../records/record-draft.js';
import { RunningTurns } from '../turns/running-turns.js';

/**
 * Runs the lanes of a worker: read -> lane -> take -> run -> settle -> commit. Every step is a part of its own; what is
 * here is their order, and the rule that whatever ends (a read, a write, a turn, a free slot, a handoff) drives its lane on,
 * so that no lane needs another message to move (stranded messages are the best-known defect of in-process queues).
 *
 * Lanes live in shards that come and go (`openShard`, `releaseShard`, `dropShard`). A lane whose shard is released while
 * its turn runs is let go: the turn ends and commits here, and nothing else of the session happens here any more.
 */

export class LaneRunner {
  private readonly shards = new Map<number, ShardLanes>();
  private readonly writer: RecordWriter;
  private readonly turns: RunningTurns;
  private readonly handoffs: Handoffs;
  private readonly loader: LaneLoader;
  private readonly driver: LaneDriver;
  private readonly idle: IdleLanes;
  private readonly bodies: BodyBudget;
  private readonly laneOptions: LaneOptionsOfAgents;
  private readonly time: LaneTime;
  private readonly room: ReadingRoom;
  private readonly lookAhead: LookAhead | undefined;
  private readonly looks: TaskLooks;
  private readonly missing: MissingAgents;

  /**
   * The parts need each other (the end of a turn drives its lane, and driving a lane starts turns): what a part calls of a
   * later one is a method below, named by what happened.
   */
  constructor(private readonly options: LaneRunnerOptions) {
    const { clock, turns, inbox, store, formerOwners, capacity, log, ahead, memory = MEMORY_LIMITS } = options;
    const { agentMissingMs = AGENT_MISSING_MS } = options;
    const { shards, drive, startedAt } = this;
    const time = new LaneTime(clock);
    this.time = time;
    this.bodies = new BodyBudget(memory.bodyBytes);
    this.laneOptions = new LaneOptionsOfAgents(turns, this.bodies, startedAt, time);
    this.idle = new IdleLanes(memory, clock, this.forget);
    this.room = new ReadingRoom(capacity, memory, this.bodies, shards, this.idle, clock);
    this.writer = new RecordWriter({ ...options, onRecord: this.recordStands });
    const refill = new LaneRefill(inbox);
    this.turns = new RunningTurns({ ...options, time }, this.writer, refill, this.turnTook, drive);
    this.missing = new MissingAgents({ ...options, agentMissingMs, time, shards }, this.writer, drive);
    const driving = { ...options, time, onGap: this.gapsGivenUp, onUnread: this.readAhead };
    this.driver = new LaneDriver(driving, this.writer, this.turns, refill, this.idle, this.room, this.missing);
    if (ahead !== undefined) {
      this.lookAhead = new LookAhead({
        source: ahead,
        clock,
        shards,
        log,
        receive: this.receiveAhead,
        drive,
        startedAt,
      });
    }
    this.looks = new TaskLooks(turns, drive);
    this.handoffs = new Handoffs(store, formerOwners, clock, this.handoffEnded);
    this.loader = new LaneLoader(options, this.handoffs, this.opened);
  }

  private readonly drive = (lane: Lane): void => this.driver.drive(lane);

  private readonly startedAt = (run: LaneRun): number | undefined => this.turns.startedAt(run);

  /** A record of the lane stands: ours (`written`), or that of another worker. */
  private readonly recordStands = (lane: Lane, before: Head, written: RecordDraft | undefined): void => {
    this.shards.get(lane.home.shard)?.sawRecord(lane.headSeq);
    const fate = written === undefined ? 'discarded' : 'ended';
    for (const run of abandonedRuns(before, lane)) this.attemptOver(lane, run, fate);
    if (written !== undefined && !isQuietEnd(written, this.options.isUntold))
      this.tell(lane, eventsOfRecord(written, lane.depth));
    this.looks.ask(lane);
  };

  private readonly turnTook = (lane: Lane, batch: Batch): void => this.tell(lane, eventsOfTaking(lane, batch));

  private readonly gapsGivenUp = (lane: Lane, gaps: readonly Gap[]): void => this.tell(lane, eventsOfGaps(gaps));

  private readonly readAhead = (lane: Lane): void => this.lookAhead?.want(lane);

  private readonly receiveAhead = (lane: Lane, raw: RawInboxMessage): void => this.take(lane, lane.readItem(raw));

  get running(): number {
    return this.turns.count;
  }
  /** Lanes that wait for nothing but a slot. */
  get waiting(): number {
    return this.room.waiting;
  }
  /** Shards of which no more is read, since enough of what was read waits. */
  get paused(): number {
    return this.room.paused;
  }
  /** Lanes in memory, and the bytes of the messages that wait in them. */
  get memory(): { lanes: number; waitingBytes: number } {
    return { lanes: this.room.lanes, waitingBytes: this.bodies.usedBytes };
  }
  /** Sessions that wait for agents that this process lacks, by agent. */
  get waitingForAgents(): Readonly<Record<string, number>> {
    return this.missing.counts;
  }
  /** Grows with every message that is read; another number when shards come or go. */
  get read(): number {
    return this.room.read;
  }
  /** Handlers that did not stop when they were asked to, since the start. */
  get leaked(): number {
    return this.turns.leaked;
  }
  /** Results of turns that another worker had decided in the meantime, since the start. */
  get discarded(): number {
    return this.turns.discarded;
  }

  /** From here on the shard is ours. Of the open lanes, what lies at or below `read` is received like everything else. */
  openShard(shard: number, start: LaneProgress): void {
    const home = new ShardLanes(shard, start);
    const has = (agentToken: string): boolean => this.options.turns.knows({ agentToken, sessionToken: '', shard });
    home.needs = new AgentNeeds(start.needs ?? [], has, this.time.read());
    this.shards.set(shard, home);
    for (const { session, from, holder, since } of start.open) {
      const lane = this.addLane(home, session);
      lane.unreadFrom = from;
      if (holder !== undefined && since !== undefined) lane.handoff = { holder, since };
      this.room.loading(home, this.loader.load(lane, from));
    }
  }

  /** Takes a message that was read. */
  receive(key: SessionTokens, raw: RawInboxMessage): void {
    this.receiveFor(key.shard, laneId(key), raw);
  }

  /** As `receive`, for a session by the name that it has in open lanes: of one that is known nothing else is to be made. */
  receiveFor(shard: number, id: string, raw: RawInboxMessage): void {
    const home = this.shards.get(shard);
    if (home?.state !== 'open') return;
    let lane = home.find(id);
    if (lane === undefined) {
      lane = this.addLane(home, id);
      this.room.loading(home, this.loader.load(lane, raw.seq));
    }
    const item = lane.readItem(raw);
    home.sawUpTo(raw.seq);
    this.take(lane, item);
  }

  /** `item`: read by the shard's reader, or for the lane alone. */
  private take(lane: Lane, item: InboxItem): void {
    const now = this.time.read();
    if (!lane.arrive(item, now)) return;
    (lane.home as ShardLanes).touch(lane);
    this.idle.delete(lane);
    if (lane.handoff !== undefined) this.handoffs.passCancels(lane);
    if (lane.isOpen) {
      // Also one that is not counted yet waits.
      const isPending = lane.tasks?.isPending(item.seq) === true;
      const events = this.arrived(lane, item, lane.depth + (isPending ? 1 : 0), now);
      this.driver.drive(lane);
      this.tell(lane, events);
      this.looks.ask(lane);
    }
  }

  /** Asks whether more of the shard may be read now. False: the shard is paused, and `onRoom` tells when it may go on. */
  askForRoom(shard: number): boolean {
    const home = this.shards.get(shard);
    if (home === undefined || this.room.ask(home)) return true;
    this.lookAhead?.begin();
    return false;
  }

  /** The listener is told when there is room again after there was none. */
  onRoom(shard: number, listener: () => void): void {
    const home = this.shards.get(shard);
    if (home !== undefined) home.onRoom = listener;
  }

  /** What an open lane had at or below the shard's `read` was received. */
  receivedOpen(key: SessionTokens): void {
    const home = this.shards.get(key.shard);
    // What is not received any more, since the shard is being given away, is still to be read by the next owner.
    if (home?.state !== 'open') return;
    const lane = home.find(laneId(key));
    if (lane === undefined) return;
    lane.unreadFrom = undefined;
    // No message may come that would: of some there is nothing left, and others go on only when all of them was received.
    this.driver.drive(lane);
  }

  /** What is stored from now on is not received for a while: `caughtUp` is said again. */
  fellBehind(shard: number): void {
    const home = this.shards.get(shard);
    if (home !== undefined) home.isBehind = true;
  }

  /** Everything that was stored when reading began, or last went on, has been received. */
  caughtUp(shard: number): void {
    const home = this.shards.get(shard);
    if (home === undefined) return;
    const { isBehind } = home;
    home.isBehind = false;
    // Only when it was not so before all lanes of the shard are asked.
    if (home.isCaughtUp && !isBehind) return this.driver.giveUpOnIncomplete(home);
    home.isCaughtUp = true;
    this.driver.giveUpOnMissing(home);
  }

  /** There are no messages of the shard up to here but those that were received. */
  sawNothingUpTo(shard: number, seq: number): void {
    this.shards.get(shard)?.sawUpTo(seq);
  }

  readTo(shard: number): number {
    return this.shards.get(shard)?.readTo ?? 0;
  }

  progress(shard: number): LaneProgress | undefined {
    const home = this.shards.get(shard);
    return home === undefined ? undefined : { ...home.progress(), ...this.toldNeeds(home) };
  }

  runningIn(shard: number): number {
    return this.shards.get(shard)?.busy.length ?? 0;
  }

  /** The shard is certainly ours (again): what waited for that goes on. */
  resume(shard: number): void {
    this.driver.resume(shard);
  }

  /**
   * Gives the shard away: nothing of it begins any more, and what is being written is awaited. What runs then, of
   * `maxHandoffs` sessions at most, is let go with this process as its holder. From the call on nothing is received.
   */
  async releaseShard(shard: number, maxHandoffs = Number.POSITIVE_INFINITY): Promise<LaneProgress> {
    const home = this.shards.get(shard);
    if (home === undefined) throw new Error(`shard ${shard} is not open`);
    home.state = 'releasing';
    for (;;) {
      const writes = home.open.flatMap(({ writing }) => (writing === undefined ? [] : [writing]));
      if (writes.length > 0) await Promise.allSettled(writes);
      else if (home.busy.filter(({ running }) => running.some((run) => this.turns.has(run))).length > maxHandoffs)
        await this.turns.anyEnd();
      else break;
    }
    // Another record has decided their batch: their results are discarded, and the next owner must not wait for them.
    for (const { running } of home.busy) for (const run of running) if (!run.isWhole) this.turns.discard(run);
    const progress = { ...home.progress(this.options.worker), ...this.toldNeeds(home, true) };
    this.close(home, 'again-elsewhere');
    return progress;
  }

  /** The shard was lost: what runs of it is the work of a zombie, and another worker runs it again. */
  dropShard(shard: number): void {
    const home = this.shards.get(shard);
    if (home === undefined) return;
    for (const { running } of home.busy) for (const run of running) this.turns.discard(run);
    this.close(home, 'discarded');
  }

  /** To be called now and then: lanes with nothing to do for long are forgotten. */
  forgetIdle(): void {
    this.idle.sweep();
    for (const home of this.shards.values()) home.forgetDecided();
  }

  describe(key: Pick<SessionTokens, 'agentToken' | 'sessionToken' | 'shard'>): SessionAnswer {
    const lane = this.shards.get(key.shard)?.find(laneId(key));
    const { clock, worker } = this.options;
    // Nothing else may have looked at the clocks since the one on the wall was set.
    this.time.read();
    return describeLane(lane, (run) => this.turns.startedAt(run), clock.now(), worker);
  }

  /** The turns that run here, of our shards and of those that were let go. */
  get work(): RunningTurns {
    return this.turns;
  }

  private toldNeeds(home: ShardLanes, isExact = false): Pick<LaneProgress, 'needs'> {
    const needs = this.missing.needsOf(home, isExact);
    return needs.length === 0 ? {} : { needs };
  }

  /** `fate`: what becomes of runs that wait with holdings. */
  private close(home: ShardLanes, fate: 'again-elsewhere' | 'discarded'): void {
    home.state = 'closed';
    if (this.shards.get(home.shard) === home) this.shards.delete(home.shard);
    if (this.shards.size === 0) {
      this.lookAhead?.stop();
      this.missing.stop();
    }
    for (const lane of home.all) {
      this.driver.forget(lane);
      this.handoffs.forget(lane);
      // What a former owner still runs is its own affair.
      for (const { next } of lane.handoff === undefined ? lane.frozenRuns : [])
        if (next?.tasks !== undefined) this.attemptOver(lane, next, fate);
      lane.close();
    }
  }

  /** It has nothing to do. What still knows it must not wake it beside the lane that takes its place. */
  private readonly forget = (lane: Lane): void => {
    lane.isStopped = true;
    this.driver.forget(lane);
    (lane.home as ShardLanes).remove(lane);
    this.options.heads.keep(lane);
  };

  private addLane(home: ShardLanes, id: string): Lane {
    const lane = new Lane(id, home, this.laneOptions.of(keyOfLane(id, home.shard)));
    home.add(lane);
    return lane;
  }

  /** The lane knows its head. What came meanwhile is new, unless its shard is still being read again. */
  private readonly opened = (lane: Lane): void => {
    const now = this.time.read();
    const isNew = (lane.home as ShardLanes).isCaughtUp && lane.handoff === undefined;
    const events = isNew ? lane.backlog.waiting.flatMap((item, i) => this.arrived(lane, item, i + 1, now)) : [];
    this.driver.drive(lane);
    this.tell(lane, events);
    this.looks.ask(lane);
  };

  /** Notes that a message has to wait, if it has to. The answer is what is told of its arrival. */
  private arrived(lane: Lane, item: InboxItem, queueDepth: number, now: number): LaneEvent[] {
    const events = eventsOfArrival(lane, item, queueDepth, now);
    if (events.some(({ type }) => type === 'message-queued')) lane.queued(item);
    return events;
  }

  private readonly handoffEnded = (lane: Lane, { loaded, crash }: HandoffEnd): void => {
    const home = lane.home as ShardLanes;
    const { handoff } = lane;
    lane.handoff = undefined;
    lane.resumeFrom(loaded);
    // It waited, perhaps beyond our membership: a note written now would look like the end of a handoff to our successor.
    lane.isContested = true;
    if (crash !== undefined) lane.unfenced = handoff;
    // The holder's record: the next owner must not take a head from before it, though no owner wrote it.
    home.sawRecord(loaded.seq);
    if (crash !== undefined) lane.assumeCrash(crash.cut, Number.MAX_SAFE_INTEGER, this.options.clock.now());
    if (home.isCaughtUp) lane.giveUpOnMissing();
    this.driver.drive(lane);
    this.looks.ask(lane);
  };

  private attemptOver(lane: Lane, run: HoldingRun, fate: AttemptFate): void {
    this.options.turns.tasks?.attemptOver(lane.key, run, fate, { isLeaked: false });
  }

  private tell(lane: Lane, events: readonly LaneEvent[]): void {
    for (const event of events) this.options.onEvent?.(lane.key, event);
  }
}

/** A turn that ended as nearly all do: nothing was left behind, nothing comes again, and no reader is told of it. */
function isQuietEnd({ record, again }: RecordDraft, isUntold: LaneRunnerOptions['isUntold']): boolean {
  if (record.kind !== 'turn' || record.status !== 'succeeded' || again.length > 0) return false;
  return isUntold?.(record.runId) === true && record.messages.every(({ decision }) => decision === 'handled');
}
