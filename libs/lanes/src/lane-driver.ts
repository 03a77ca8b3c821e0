import type { Clock } from '#contracts';
import type { Logger } from '#telemetry';
import type { IdleLanes } from './idle-lanes.js';
import { nextCancelStep } from './lane-cancel.js';
import { nextDiscardStep, nextExpiryAt } from './lane-discards.js';
import type { LaneRefill } from './lane-refill.js';
import { LaneTimers } from './lane-timers.js';
import type { LaneWriter, WriteResult } from './lane-writer.js';
import type { Lane } from './lane.js';
import type { RunningTurns } from './running-turns.js';
import { TurnSlots } from './turn-slots.js';

/**
 * Moves lanes on: whatever about a lane ended (a read, a write, a turn, a free slot, a hold, a doubt) calls `drive`, which
 * does the next thing that the lane needs, if anything. It never waits, and calling it once too often does nothing.
 */
export interface LaneDriverOptions {
  readonly clock: Clock;
  /** How many turns run at once. */
  readonly capacity: number;
  readonly mayStart: (shard: number) => boolean;
  readonly log: Logger;
}

export class LaneDriver {
  /** Lanes that wait for a slot. */
  private readonly ready = new Set<Lane>();
  /** Lanes that had their slot while it was in doubt whether their shard is ours. */
  private readonly doubtful = new Set<Lane>();
  /** Lanes whose frozen batch is not wholly read yet. */
  private readonly incomplete = new Set<Lane>();
  private readonly slots: TurnSlots;
  private readonly timers: LaneTimers;

  constructor(
    private readonly options: LaneDriverOptions,
    private readonly writer: LaneWriter,
    private readonly turns: RunningTurns,
    private readonly refill: LaneRefill,
    private readonly idle: IdleLanes,
  ) {
    this.slots = new TurnSlots(options.capacity);
    this.timers = new LaneTimers(options.clock);
  }

  /** Lanes that wait for nothing but a slot. Those of a shard that was given away stand in the queue, and do not count. */
  get waiting(): number {
    return [...this.ready].filter(({ home }) => home.state === 'open').length;
  }

  /** Does the next thing that the lane needs. Called whenever something about it ended. */
  drive(lane: Lane): void {
    if (lane.home.state !== 'open' || !lane.isOpen || lane.isStopped) return;
    if (lane.writing !== undefined || lane.hold !== undefined) return;
    if (lane.isContested && !this.isOurs(lane)) return;
    lane.isContested = false;
    if (lane.isIncomplete) this.incomplete.add(lane);
    else if (this.incomplete.size > 0) this.incomplete.delete(lane);
    if (lane.backlog.controls.length > 0) return this.cancel(lane);
    if (lane.backlog.broken.length > 0 && lane.toReject.length > 0) {
      if (this.isOurs(lane)) this.follow(lane, this.reject(lane));
      return;
    }
    const { clock } = this.options;
    const now = clock.now();
    const monotonicNow = clock.monotonic();
    const canTake = lane.canTake(now);
    lane.waitingClock.set(!canTake && lane.windowEndsAt !== undefined, monotonicNow);
    if (this.discard(lane, now, monotonicNow)) return;
    const wakeAt = earliest(lane.retryAt, lane.windowEndsAt, nextExpiryAt(lane, now, monotonicNow));
    this.timers.set(lane, wakeAt, now, () => this.drive(lane));
    if (!canTake) {
      if (lane.undecidedFrom === undefined && !this.ready.has(lane)) this.idle.add(lane);
      return;
    }
    if (this.ready.has(lane) || this.turns.has(lane)) return;
    this.ready.add(lane);
    this.slots.acquire(lane.undecidedFrom ?? 0, () => this.start(lane));
  }

  /** The reader of these lanes' shard has handed over everything there was. */
  giveUpOnMissing(home: Lane['home']): void {
    for (const lane of [...this.incomplete]) {
      if (lane.home !== home) continue;
      lane.giveUpOnMissing();
      this.drive(lane);
    }
  }

  /** The shard is certainly ours (again): what waited for that goes on. */
  goOn(shard: number): void {
    for (const lane of [...this.doubtful]) {
      if (lane.key.shard !== shard) continue;
      this.doubtful.delete(lane);
      this.drive(lane);
    }
  }

  /** The lane is not driven any more. */
  forget(lane: Lane): void {
    this.timers.cancel(lane);
    this.doubtful.delete(lane);
    this.incomplete.delete(lane);
    this.idle.delete(lane);
  }

  /**
   * By our own clock (L4). A note of a process that has lost its shard would look to its successors like the end of a turn
   * that still runs. What waits for that goes on when the shard is certainly ours again.
   */
  private isOurs(lane: Lane): boolean {
    if (this.options.mayStart(lane.key.shard)) return true;
    this.doubtful.add(lane);
    return false;
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
      if (!this.isOurs(lane)) return;
      return this.follow(lane, this.writer.note(lane, step.messages, step.endsRun ? { run: null } : {}));
    }
    // Another reading of the lane drives it on too.
    if (step?.kind === 'read' && !this.refill.isReading(lane)) {
      void this.refill.peek(lane, step.seqs).then(() => this.drive(lane));
    }
    // Its end drives the lane again.
    if (step?.kind === 'abort') this.turns.cancel(lane, step.seqs);
  }

  /** True when something has to go first: what drives the lane on is its end. */
  private discard(lane: Lane, now: number, monotonicNow: number): boolean {
    const step = nextDiscardStep(lane, now, monotonicNow);
    if (step?.kind === 'note' && this.isOurs(lane)) {
      this.follow(lane, this.writer.note(lane, step.messages, { sends: step.sends }));
    }
    // Another reading of the lane drives it on too.
    if (step?.kind === 'read' && !this.refill.isReading(lane)) {
      void this.refill.peek(lane, step.seqs).then(() => this.drive(lane));
    }
    return step !== undefined;
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
    if (!this.isOurs(lane)) return this.slots.release();
    if (!this.turns.admits(lane)) return this.slots.release();
    this.turns.start(lane, (waited) => {
      this.slots.release();
      this.drive(lane);
      for (const other of waited) this.drive(other);
    });
  }
}

function earliest(...times: readonly (number | undefined)[]): number | undefined {
  const wanted = times.filter((at) => at !== undefined);
  return wanted.length === 0 ? undefined : Math.min(...wanted);
}
