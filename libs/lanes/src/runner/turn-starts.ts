import type { Lane, LaneRun } from '../lane/lane.js';
import type { LaneTime } from '../lane/lane-time.js';
import type { RunningTurns } from '../turns/running-turns.js';
import { TurnSlots } from '../turns/turn-slots.js';
import type { OwnershipDoubt } from './ownership-doubt.js';
import type { ReadingRoom } from './reading-room.js';
import type { ShardLanes } from './shard-lanes.js';

/**
 * From the wish for a slot to the turn that has it. A lane waits in up to two places: for its run in turn (`place`), and for
 * one beside that (`placeBeside`).
 *
 *   not waiting --ask--> waiting --a slot is free--> its run starts, or the slot goes back: meanwhile the lane has changed
 *                        waiting --leave--> not waiting
 *
 * As long as a lane has a place, it is counted in the reading room of its shard: once, however many places it has.
 */
export class TurnStarts {
  private readonly slots: TurnSlots<Lane>;

  constructor(
    capacity: number,
    private readonly turns: RunningTurns,
    private readonly room: ReadingRoom,
    private readonly doubt: OwnershipDoubt,
    private readonly isOurs: (lane: Lane) => boolean,
    private readonly time: LaneTime,
    private readonly drive: (lane: Lane) => void,
  ) {
    this.slots = new TurnSlots<Lane>(capacity);
  }

  /** For the run in turn. Nothing when it waits or runs already. */
  ask(lane: Lane): void {
    if (lane.place !== undefined || this.turns.has(lane.serial)) return;
    this.enterRoom(lane);
    const place = this.slots.acquire(lane.undecidedFrom ?? 0, this.startInTurn, lane);
    if (place !== undefined) lane.place = place;
  }

  leave(lane: Lane): void {
    const { place } = lane;
    if (place === undefined) return;
    lane.place = undefined;
    this.slots.leave(place);
    this.leaveRoom(lane);
  }

  /** For the next run beside the one in turn. */
  askBeside(lane: Lane): void {
    this.enterRoom(lane);
    let isAsking = true;
    const start = (): void => {
      lane.placeBeside = undefined;
      this.leaveRoom(lane);
      this.start(lane, this.nextBeside(lane, this.time.read()));
      // The call that asked has gone on: the next run is asked for here.
      if (!isAsking) this.drive(lane);
    };
    const place = this.slots.acquire(lane.undecidedFrom ?? 0, start, lane);
    if (place !== undefined) lane.placeBeside = place;
    isAsking = false;
  }

  leaveBeside(lane: Lane): void {
    const { placeBeside } = lane;
    if (placeBeside === undefined) return;
    lane.placeBeside = undefined;
    this.slots.leave(placeBeside);
    this.leaveRoom(lane);
  }

  /** The run that may begin beside the one in turn; undefined = none. */
  nextBeside(lane: Lane, now: number): LaneRun | undefined {
    for (const run of lane.concurrent.startable(now))
      if (!this.turns.has(run) && this.turns.wouldAdmit(run)) return run;
    return undefined;
  }

  /** It is not started any more, and must not be kept by its places. */
  forget(lane: Lane): void {
    for (const place of [lane.place, lane.placeBeside]) if (place !== undefined) this.slots.leave(place);
  }

  /** One for all lanes: a closure for each turn is as much garbage as the turn itself needs. */
  private readonly startInTurn = (lane: Lane): void => {
    lane.place = undefined;
    this.leaveRoom(lane);
    this.start(lane, lane.serial);
  };

  /** The run has a slot. */
  private start(lane: Lane, run: LaneRun | undefined): void {
    // Between the wish for a slot and its grant a record may have changed the lane.
    const isFree = lane.home.state === 'open' && !lane.isStopped && lane.writing === undefined;
    const isInTime = run?.isConcurrent === true || lane.mayBeginInTurn;
    if (!isFree || !isInTime || run?.canTake(this.time.read()) !== true) {
      this.slots.release();
      this.drive(lane);
      return;
    }
    if (!this.isOurs(lane)) {
      this.doubt.add(lane);
      return this.slots.release();
    }
    if (!this.turns.admit(run)) return this.slots.release();
    this.turns.start(run, (waited) => {
      this.slots.release();
      this.drive(lane);
      for (const other of waited) this.drive(other.lane);
    });
  }

  /** Called before it gets a place. */
  private enterRoom(lane: Lane): void {
    if (!isWaiting(lane)) this.room.entered(lane.home as ShardLanes);
  }

  /** Called when it has given a place up. */
  private leaveRoom(lane: Lane): void {
    if (!isWaiting(lane)) this.room.left(lane.home as ShardLanes);
  }
}

/** It waits for nothing but a slot. */
export function isWaiting({ place, placeBeside }: Lane): boolean {
  return place !== undefined || placeBeside !== undefined;
}
