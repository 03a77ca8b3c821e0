import { type Clock, isConcurrent } from '#contracts';
import type { Logger } from '#telemetry';
import { undeliverableNote } from '../lane/decision-note.js';
import type { IdleLanes } from './idle-lanes.js';
import { nextCancelStep } from '../lane/next-cancel.js';
import { nextDiscardStep, nextExpiryAt } from '../lane/next-discard.js';
import type { LaneRefill } from '../turns/lane-refill.js';
import type { ShardLanes } from './shard-lanes.js';
import type { LaneTime } from '../lane/lane-time.js';
import { LaneTimers } from './lane-timers.js';
import { needsReadingAhead } from '../lane/needs-reading-ahead.js';
import type { RecordWriter, WriteResult } from '../records/record-writer.js';
import type { Lane, LaneRun } from '../lane/lane.js';
import type { MissingAgents } from './missing-agents.js';
import type { Gap } from '../backlog/reorder-buffer.js';
import type { ReadingRoom } from './reading-room.js';
import type { RunningTurns } from '../turns/running-turns.js';
import { TurnSlots } from '../turns/turn-slots.js';
import type { SlotPlace } from '../lane/lane-view.js';

/**
 * Moves lanes on: whatever about a lane ended (a read, a write, a turn, a free slot, a handoff, a doubt) calls `drive`, which
 * does the next thing that the lane needs, if anything. It never waits, and calling it once too often does nothing.
 */
export interface LaneDriverOptions {
  readonly clock: Clock;
  readonly time: LaneTime;
  /** How many turns run at once. */
  readonly capacity: number;
  readonly mayStart: (shard: number) => boolean;
  /** Told of numbers that a lane goes on without. */
  readonly onGap: (lane: Lane, gaps: readonly Gap[]) => void;
  /** Told of a lane that goes on when all of it is received that is stored. */
  readonly onUnread: (lane: Lane) => void;
  readonly log: Logger;
}

/** How often lanes in doubt are looked at that are told nothing. */
const DOUBT_LOOK_MS = 1_000;

export class LaneDriver {
  /** Lanes that had their slot while it was in doubt whether their shard is ours. */
  private readonly inDoubt = new Set<Lane>();
  private cancelLook: (() => void) | undefined;
  /** Lanes whose frozen batch is not wholly read yet. */
  private readonly incomplete = new Set<Lane>();
  private readonly slots: TurnSlots<Lane>;
  private readonly timers: LaneTimers;

  constructor(
    private readonly options: LaneDriverOptions,
    private readonly writer: RecordWriter,
    private readonly turns: RunningTurns,
    private readonly refill: LaneRefill,
    private readonly idle: IdleLanes,
    private readonly room: ReadingRoom,
    private readonly missing: MissingAgents,
  ) {
    this.slots = new TurnSlots<Lane>(options.capacity);
    this.timers = new LaneTimers(options.clock);
  }

  /** Does the next thing that the lane needs. Called whenever something about it ended. */
  drive(lane: Lane): void {
    if (lane.home.state !== 'open' || !lane.isOpen || lane.isStopped) return;
    if (lane.writing !== undefined || lane.handoff !== undefined) return;
    if (lane.isContested && !this.isOurs(lane)) return;
    lane.isContested = false;
    if (lane.isIncomplete) this.incomplete.add(lane);
    else if (this.incomplete.size > 0) this.incomplete.delete(lane);
    if (lane.backlog.cancelOrders.length > 0 && this.cancel(lane)) return;
    if (lane.backlog.undeliverable.length > 0 && lane.toReject.length > 0) {
      if (this.isOurs(lane)) this.driveAfter(lane, this.rejectUndeliverable(lane));
      return;
    }
    if (lane.isAgentMissing) return this.waitForAgent(lane);
    const now = this.options.time.now();
    lane.releaseFrozen();
    if (lane.gapEndsAt(now) !== undefined || lane.backlog.isFullOfEarly) {
      this.options.onGap(lane, lane.backlog.giveUpGaps(lane.readUpTo(now)));
    }
    // Of orders that wait for the end of turns nothing else of the lane is meant; but nothing in turn begins before they are done.
    const canTake = lane.mayBeginInTurn && lane.serial.canTake(now);
    const { windowEndsAt } = lane.serial;
    const isWaiting = !canTake && windowEndsAt !== undefined;
    if (isWaiting || lane.isWaitingClockRunning) lane.waitingClock.set(isWaiting ? windowEndsAt : undefined, now);
    if (this.discard(lane, now)) return;
    const wakeAt = nextAfter(
      now,
      lane.serial.dueAt(now),
      lane.hasConcurrentRuns ? nextAfter(now, ...lane.concurrent.retriesAt(now)) : undefined,
      windowEndsAt,
      lane.gapEndsAt(now),
      nextExpiryAt(lane, now),
    );
    this.timers.set(lane, wakeAt, now, () => this.drive(lane));
    this.driveConcurrent(lane, now);
    if (!canTake) {
      // What it waited with is decided, or has a window again: its place in the queue would be kept for nothing.
      if (lane.place !== undefined) this.leaveSerial(lane, lane.place);
      if (lane.undecidedFrom === undefined && !isReady(lane)) {
        lane.rest();
        this.idle.add(lane);
      } else if (needsReadingAhead(lane, now)) this.options.onUnread(lane);
      return;
    }
    if (lane.place !== undefined || this.turns.has(lane.serial)) return;
    if (!isReady(lane)) this.room.entered(lane.home as ShardLanes);
    const place = this.slots.acquire(lane.undecidedFrom ?? 0, this.startSerial, lane);
    if (place !== undefined) lane.place = place;
  }

  /** Its orders are done. Nothing else of it is decided here, unless its agent stays away for too long. */
  private waitForAgent(lane: Lane): void {
    if (lane.undecidedFrom === undefined) {
      lane.rest();
      this.idle.add(lane);
    } else lane.park();
    this.missing.watch(lane);
  }

  /** One for all lanes: a closure for each turn is as much garbage as the turn itself needs. */
  private readonly startSerial = (lane: Lane): void => {
    lane.place = undefined;
    if (!isReady(lane)) this.room.left(lane.home as ShardLanes);
    this.start(lane, lane.serial);
  };

  private leaveSerial(lane: Lane, place: SlotPlace): void {
    lane.place = undefined;
    this.slots.leave(place);
    if (!isReady(lane)) this.room.left(lane.home as ShardLanes);
  }

  private leaveBeside(lane: Lane, place: SlotPlace): void {
    lane.placeBeside = undefined;
    this.slots.leave(place);
    if (!isReady(lane)) this.room.left(lane.home as ShardLanes);
  }

  /** The reader of these lanes' shard has handed over everything there was. */
  giveUpOnMissing(home: ShardLanes): void {
    for (const lane of home.open) {
      // Its window is judged, and of numbered messages the clock is asked, only from now on.
      const hasWaited = this.incomplete.has(lane) || lane.backlog.early.length > 0 || lane.serial.hasWindow;
      lane.giveUpOnMissing();
      if (hasWaited) this.drive(lane);
    }
  }

  /** As `giveUpOnMissing`, when the reader has said so before: what came since then knew it from the start. */
  giveUpOnIncomplete(home: ShardLanes): void {
    if (this.incomplete.size === 0) return;
    for (const lane of [...this.incomplete]) {
      if (lane.home !== home) continue;
      lane.giveUpOnMissing();
      this.drive(lane);
    }
  }

  /** The shard is certainly ours (again): what waited for that goes on. */
  resume(shard: number): void {
    for (const lane of [...this.inDoubt]) {
      if (lane.home.shard !== shard) continue;
      this.inDoubt.delete(lane);
      this.drive(lane);
    }
  }

  /** The lane is not driven any more. */
  forget(lane: Lane): void {
    this.timers.cancel(lane);
    this.inDoubt.delete(lane);
    if (this.inDoubt.size === 0) this.lookNoMore();
    this.incomplete.delete(lane);
    this.idle.delete(lane);
    // It is not started any more, and must not be kept by its places.
    for (const place of [lane.place, lane.placeBeside]) if (place !== undefined) this.slots.leave(place);
  }

  /**
   * By our own clock (L4). A note of a process that has lost its shard would look to its successors like the end of a turn
   * that still runs. What waits for that goes on when the shard is certainly ours again.
   */
  private isOurs(lane: Lane): boolean {
    if (this.options.mayStart(lane.home.shard)) return true;
    this.inDoubt.add(lane);
    this.lookLater();
    return false;
  }

  /**
   * A wall clock that is set, and set right again before the next renewal, begins a doubt and ends it, and nothing tells of
   * either: the lane would stand still until something else drives it.
   */
  private lookLater(): void {
    this.cancelLook ??= this.options.clock.after(DOUBT_LOOK_MS, () => {
      this.cancelLook = undefined;
      const { mayStart } = this.options;
      const shards = new Set([...this.inDoubt].map(({ home }) => home.shard));
      for (const shard of shards) if (mayStart(shard)) this.resume(shard);
      if (this.inDoubt.size > 0) this.lookLater();
    });
  }

  private lookNoMore(): void {
    this.cancelLook?.();
    this.cancelLook = undefined;
  }

  /** A write beside or between turns: when it is done, the lane goes on. */
  private driveAfter(lane: Lane, write: Promise<WriteResult>): void {
    void write.then(
      (result) => {
        if (result === 'unsendable') {
          // It would be tried again at once, and for ever.
          lane.isStopped = true;
          this.options.log.error({ ...lane.key }, 'session stops: what has to be decided cannot be written');
        }
        if (result !== 'abandoned') this.drive(lane);
      },
      (error: unknown) => this.options.log.error({ ...lane.key, error: String(error) }, 'a note failed'),
    );
  }

  /** True when something has to go first: what drives the lane on is its end. */
  private cancel(lane: Lane): boolean {
    const step = nextCancelStep(lane);
    lane.putOrdersOff(step?.kind === 'put-off');
    if (step?.kind === 'put-off') return false;
    // What it means is known when it is known what had begun.
    if (step === undefined && needsReadingAhead(lane, this.options.time.now())) this.options.onUnread(lane);
    if (step?.kind === 'note' && this.isOurs(lane)) this.driveAfter(lane, this.writer.note(lane, step.messages));
    if (step?.kind === 'read') this.peek(lane, step.seqs);
    if (step?.kind !== 'abort') return true;
    // Their ends drive the lane again. What is not meant, and waits for nobody, goes on meanwhile.
    this.turns.cancel(lane, step.seqs);
    return false;
  }

  /** True when something has to go first: what drives the lane on is its end. */
  private discard(lane: Lane, now: number): boolean {
    const step = nextDiscardStep(lane, now);
    if (step?.kind === 'note' && this.isOurs(lane))
      this.driveAfter(lane, this.writer.note(lane, step.messages, step.sends));
    if (step?.kind === 'read') this.peek(lane, step.seqs);
    return step !== undefined;
  }

  private peek(lane: Lane, seqs: readonly number[]): void {
    // Another reading of the lane drives it on too.
    if (!this.refill.isReading(lane)) void this.refill.peek(lane, seqs).then(() => this.drive(lane));
  }

  /** What no turn can take. */
  private rejectUndeliverable(lane: Lane): Promise<WriteResult> {
    const { messages, sends } = undeliverableNote(lane.toReject);
    return this.writer.note(lane, messages, sends);
  }

  /** Begins what may begin beside the run that is in turn. */
  private driveConcurrent(lane: Lane, now: number): void {
    if (!lane.hasConcurrent) return;
    if (needsReading(lane) && !this.refill.isReading(lane)) {
      void this.refill.read(lane, lane.toRead).then(() => this.drive(lane));
    }
    const unfenced = lane.concurrent.unrecorded.find((run) => !this.turns.mightAdmit(run));
    if (unfenced?.next !== undefined && this.isOurs(lane)) {
      // It waits for the quarantine, and nobody else may begin before a record fences who may still run it (L4).
      return this.driveAfter(
        lane,
        this.writer.before(unfenced, unfenced.next, () => true),
      );
    }
    if (lane.placeBeside !== undefined && this.nextBeside(lane, now) === undefined)
      this.leaveBeside(lane, lane.placeBeside);
    while (lane.placeBeside === undefined && lane.writing === undefined && this.nextBeside(lane, now) !== undefined) {
      if (!this.isOurs(lane)) return;
      if (!isReady(lane)) this.room.entered(lane.home as ShardLanes);
      let isAsking = true;
      const start = (): void => {
        lane.placeBeside = undefined;
        if (!isReady(lane)) this.room.left(lane.home as ShardLanes);
        this.start(lane, this.nextBeside(lane, this.options.time.now()));
        // The call that asked has gone on: the next run is asked for here.
        if (!isAsking) this.drive(lane);
      };
      const place = this.slots.acquire(lane.undecidedFrom ?? 0, start, lane);
      if (place !== undefined) lane.placeBeside = place;
      isAsking = false;
    }
  }

  private nextBeside(lane: Lane, now: number): LaneRun | undefined {
    for (const run of lane.concurrent.startable(now))
      if (!this.turns.has(run) && this.turns.mightAdmit(run)) return run;
    return undefined;
  }

  /** The run has a slot. */
  private start(lane: Lane, run: LaneRun | undefined): void {
    // Between the wish for a slot and its grant a record may have changed the lane.
    const isFree = lane.home.state === 'open' && !lane.isStopped && lane.writing === undefined;
    const isInTime = run?.isConcurrent === true || lane.mayBeginInTurn;
    if (!isFree || !isInTime || run?.canTake(this.options.time.now()) !== true) {
      this.slots.release();
      this.drive(lane);
      return;
    }
    if (!this.isOurs(lane) || !this.turns.admits(run)) return this.slots.release();
    this.turns.start(run, (waited) => {
      this.slots.release();
      this.drive(lane);
      for (const other of waited) this.drive(other.lane);
    });
  }
}

function isReady(lane: Lane): boolean {
  return lane.place !== undefined || lane.placeBeside !== undefined;
}

/** Whether a lane with runs beside each other can do nothing more, or less than it may, with what is kept of it. */
function needsReading(lane: Lane): boolean {
  const { backlog, serial, concurrent, ownQueueing } = lane;
  if (lane.toRead.length === 0) return false;
  if (lane.frozenRuns.some((run) => run.isNotKept)) return true;
  const isSerialIdle = serial.batch === undefined && lane.serialWaiting.length === 0;
  if (isSerialIdle && !isConcurrent(ownQueueing.strategy)) return true;
  return (
    !concurrent.hasFresh && concurrent.roomFor(ownQueueing) > 0 && (backlog.waiting.length === 0 || backlog.hasRoom)
  );
}

/** What is past has been tried, and must not hide what is to come. */
function nextAfter(now: number, ...times: readonly (number | undefined)[]): number | undefined {
  let next: number | undefined;
  for (const at of times) if (at !== undefined && at > now && at < (next ?? Number.POSITIVE_INFINITY)) next = at;
  return next;
}
