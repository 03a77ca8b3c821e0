import { type Clock, isConcurrent } from '#contracts';
import type { Logger } from '#telemetry';
import { undeliverableNote } from '../turn-rules/decision-note.js';
import type { IdleLanes } from './idle-lanes.js';
import { nextCancelStep } from '../lane/next-cancel.js';
import { discardableQueueOf } from '../lane/discardable-queue.js';
import { nextDiscardStep, nextExpiryAt } from '../lane/next-discard.js';
import { OwnershipDoubt } from './ownership-doubt.js';
import type { LaneRefill } from '../turns/lane-refill.js';
import type { ShardLanes } from './shard-lanes.js';
import type { LaneTime } from '../lane/lane-time.js';
import { LaneTimers } from './lane-timers.js';
import { needsReadingAhead } from '../lane/needs-reading-ahead.js';
import type { RecordWriter, WriteResult } from '../records/record-writer.js';
import type { Lane } from '../lane/lane.js';
import type { MissingAgents } from './missing-agents.js';
import type { Gap } from '../backlog/reorder-buffer.js';
import type { ReadingRoom } from './reading-room.js';
import type { RunningTurns } from '../turns/running-turns.js';
import { isWaiting, TurnStarts } from './turn-starts.js';

/**
 * Moves lanes on: whatever about a lane ended (a read, a write, a turn, a free slot, a handoff, a doubt) calls `drive`, which
 * does the next thing that the lane needs, if anything. It never waits, and calling it once too often does nothing.
 */
export interface LaneDriverOptions {
  readonly clock: Clock;
  readonly time: LaneTime;
  /** How many turns run at once. */
  readonly capacity: number;
  /** Whether the shard is certainly ours, by our own clock (L4). */
  readonly mayStart: (shard: number) => boolean;
  /** Told of numbers that a lane goes on without. */
  readonly onGap: (lane: Lane, gaps: readonly Gap[]) => void;
  /** Told of a lane that goes on when all of it is received that is stored. */
  readonly onUnread: (lane: Lane) => void;
  readonly log: Logger;
}

export class LaneDriver {
  private readonly doubt: OwnershipDoubt;
  /** Lanes whose frozen batch is not wholly read yet. */
  private readonly incomplete = new Set<Lane>();
  private readonly starts: TurnStarts;
  private readonly timers: LaneTimers;

  constructor(
    private readonly options: LaneDriverOptions,
    private readonly writer: RecordWriter,
    private readonly turns: RunningTurns,
    private readonly refill: LaneRefill,
    private readonly idle: IdleLanes,
    room: ReadingRoom,
    private readonly missing: MissingAgents,
  ) {
    this.timers = new LaneTimers(options.clock);
    this.doubt = new OwnershipDoubt(options.clock, options.mayStart, this.drive);
    this.starts = new TurnStarts(options.capacity, turns, room, this.doubt, this.isOurs, options.time, this.drive);
  }

  /**
   * Does the next thing that the lane needs. Called whenever something about it ended. The order of the steps is that of
   * their rank: each one that starts a write or a read ends the call, and the end of that drives the lane again.
   */
  readonly drive = (lane: Lane): void => {
    if (!this.mayMove(lane)) return;
    this.noteIncomplete(lane);
    if (this.followCancelOrders(lane)) return;
    if (this.rejectUndeliverable(lane)) return;
    if (lane.isAgentMissing) return this.waitForAgent(lane);
    const now = this.options.time.read();
    this.releaseNumbered(lane, now);
    const canTake = this.mayTakeInTurn(lane, now);
    const { windowEndsAt } = lane.serial;
    this.runWaitingClock(lane, now, canTake ? undefined : windowEndsAt);
    if (this.discard(lane, now)) return;
    this.setTimer(lane, now, windowEndsAt);
    this.beginBeside(lane, now);
    if (canTake) this.starts.ask(lane);
    else this.standAside(lane, now);
  };

  /** Step 1: whether anything may be decided about the lane here and now (its states stand at the top of `lane.ts`). */
  private mayMove(lane: Lane): boolean {
    if (lane.home.state !== 'open' || !lane.isOpen || lane.isStopped) return false;
    if (lane.writing !== undefined || lane.handoff !== undefined) return false;
    if (lane.isContested && !this.isOurs(lane)) {
      this.doubt.add(lane);
      return false;
    }
    lane.isContested = false;
    return true;
  }

  /** Step 2. */
  private noteIncomplete(lane: Lane): void {
    if (lane.isIncomplete) this.incomplete.add(lane);
    else if (this.incomplete.size > 0) this.incomplete.delete(lane);
  }

  /** Step 3. True when something has to go first: what drives the lane on is its end. */
  private followCancelOrders(lane: Lane): boolean {
    if (lane.backlog.cancelOrders.length === 0) return false;
    lane.freezeBegun();
    const step = nextCancelStep(lane);
    lane.putOrdersOff(step?.kind === 'put-off');
    if (step?.kind === 'put-off') return false;
    // Which messages the orders match is known only when it is known what had begun.
    if (step === undefined && needsReadingAhead(lane, this.options.time.read())) this.options.onUnread(lane);
    if (step?.kind === 'note') this.write(lane, () => this.writer.note(lane, step.messages));
    if (step?.kind === 'read') this.peek(lane, step.seqs);
    if (step?.kind !== 'abort') return true;
    // Their ends drive the lane again. Messages that the orders do not match go on meanwhile.
    this.turns.cancel(lane, step.seqs);
    return false;
  }

  /** Step 4: what no turn can take. True when there is some. */
  private rejectUndeliverable(lane: Lane): boolean {
    if (lane.backlog.undeliverable.length === 0 || lane.toReject.length === 0) return false;
    this.write(lane, () => {
      const { messages, sends } = undeliverableNote(lane.toReject);
      return this.writer.note(lane, messages, sends);
    });
    return true;
  }

  /** Its orders are done. Nothing else of it is decided here, unless its agent stays away for too long. */
  private waitForAgent(lane: Lane): void {
    if (lane.undecidedFrom === undefined) {
      lane.rest();
      this.idle.add(lane);
    } else lane.park();
    this.missing.watch(lane);
  }

  /** Step 5: numbered messages go on without numbers that do not come. */
  private releaseNumbered(lane: Lane, now: number): void {
    lane.releaseFrozen();
    lane.startGapClock(now);
    if (lane.gapEndsAt(now) !== undefined || lane.backlog.isFullOfEarly) {
      this.options.onGap(lane, lane.backlog.giveUpGaps(lane.readUpTo(now)));
    }
  }

  /** Step 6: whether a run in turn may begin. From here on the times of next attempts are fixed. */
  private mayTakeInTurn(lane: Lane, now: number): boolean {
    lane.serial.fixDueTime(now);
    if (lane.hasConcurrentRuns) lane.concurrent.fixDueTimes(now);
    // While orders wait for the end of turns, nothing in turn begins before they are done.
    return lane.mayBeginInTurn && lane.serial.canTake(now);
  }

  /**
   * Step 7: the waiting clock runs while the lane could begin and waits for a window. What came while it stood still counts
   * from now.
   */
  private runWaitingClock(lane: Lane, now: number, windowEndsAt: number | undefined): void {
    if (windowEndsAt === undefined && !lane.isWaitingClockRunning) return;
    lane.waitingClock.set(windowEndsAt, now);
    if (windowEndsAt !== undefined) lane.waitingClock.notice(discardableQueueOf(lane).items, now);
  }

  /** Step 8. True when something has to go first: what drives the lane on is its end. */
  private discard(lane: Lane, now: number): boolean {
    const step = nextDiscardStep(lane, now);
    if (step?.kind === 'note') this.write(lane, () => this.writer.note(lane, step.messages, step.sends));
    if (step?.kind === 'read') this.peek(lane, step.seqs);
    return step !== undefined;
  }

  /** Step 9: when the lane is to be driven though nothing happens. */
  private setTimer(lane: Lane, now: number, windowEndsAt: number | undefined): void {
    const wakeAt = nextAfter(
      now,
      lane.serial.dueAt(now),
      lane.hasConcurrentRuns ? nextAfter(now, ...lane.concurrent.retriesAt(now)) : undefined,
      windowEndsAt,
      lane.gapEndsAt(now),
      nextExpiryAt(lane, now),
    );
    this.timers.set(lane, wakeAt, now, () => this.drive(lane));
  }

  /** Step 10: begins what may begin beside the run that is in turn. */
  private beginBeside(lane: Lane, now: number): void {
    if (!lane.hasConcurrent) return;
    if (needsReading(lane) && !this.refill.isReading(lane)) {
      void this.refill.read(lane, lane.toRead).then(() => this.drive(lane));
    }
    lane.concurrent.freezeBegun();
    for (const run of lane.concurrent.frozen) if (!this.turns.wouldAdmit(run)) this.turns.waitToBeAdmitted(run);
    const unfenced = lane.concurrent.unrecorded.find((run) => !this.turns.wouldAdmit(run));
    if (unfenced?.next !== undefined) {
      // It waits for the quarantine. No other run may begin before a record fences another worker that may still run it (L4).
      const { next } = unfenced;
      if (this.isOurs(lane)) return this.write(lane, () => this.writer.before(unfenced, next, () => true));
      this.doubt.add(lane);
    }
    const hasNext = (): boolean => this.starts.nextBeside(lane, now) !== undefined;
    if (lane.placeBeside !== undefined && !hasNext()) this.starts.leaveBeside(lane);
    while (lane.placeBeside === undefined && lane.writing === undefined && hasNext()) {
      if (!this.isOurs(lane)) return this.doubt.add(lane);
      this.starts.askBeside(lane);
    }
  }

  /** Step 11, when no run in turn may begin. */
  private standAside(lane: Lane, now: number): void {
    // What it waited with is decided, or has a window again: its place in the queue would be kept for nothing.
    this.starts.leave(lane);
    if (lane.undecidedFrom === undefined && !isWaiting(lane)) {
      lane.rest();
      this.idle.add(lane);
    } else if (needsReadingAhead(lane, now)) this.options.onUnread(lane);
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
    this.doubt.resume(shard);
  }

  /** The lane is not driven any more. */
  forget(lane: Lane): void {
    this.timers.cancel(lane);
    this.doubt.forget(lane);
    this.incomplete.delete(lane);
    this.idle.delete(lane);
    this.starts.forget(lane);
  }

  private readonly isOurs = (lane: Lane): boolean => this.options.mayStart(lane.home.shard);

  /** A write beside or between turns: when it is done, the lane goes on. While it is in doubt whose the lane is, it waits. */
  private write(lane: Lane, write: () => Promise<WriteResult>): void {
    if (!this.isOurs(lane)) return this.doubt.add(lane);
    void write().then(
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

  private peek(lane: Lane, seqs: readonly number[]): void {
    // Another reading of the lane drives it on too.
    if (!this.refill.isReading(lane)) void this.refill.peek(lane, seqs).then(() => this.drive(lane));
  }
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
