import { type SessionTokens, keyOfLane } from '#contracts';
import { Backlog } from '../backlog/backlog.js';
import type { BodyBudget } from '../backlog/body-budget.js';
import type { LaneView } from './lane-view.js';
import type { Run } from './lane-run.js';
import type { MessageTasks } from './message-tasks.js';
import { ConcurrentRuns } from './concurrent-runs.js';
import { SerialRun } from './serial-run.js';
import { WaitingClock } from '../backlog/waiting-clock.js';

/**
 * What a lane has at hand while there is something to do: its messages and its runs. A lane without a workload is nothing
 * but a head, so that a worker can keep many sessions of which nothing waits (a third of what it took with all its parts).
 */
export class LaneWorkload<L extends LaneView> {
  readonly backlog: Backlog;
  readonly serial: SerialRun<L>;
  private madeKey: SessionTokens | undefined;
  private madeConcurrent: ConcurrentRuns<L> | undefined;
  private madeClock: WaitingClock | undefined;
  /** Only where a message came that starts a task. */
  tasks: MessageTasks<Run<L>> | undefined;
  /** Some message of it waits otherwise than those of its agent. */
  isMixed = false;
  /** Some message of it may run beside others. */
  sawConcurrent = false;
  /** The highest sequence of a message that had to wait when it came. */
  queuedUpTo = 0;
  /** What is left of its orders cannot be decided before the cursor has moved. */
  areOrdersPutOff = false;
  /** By the clock of the lanes. */
  lastArrivalAt = 0;
  /** What was stored of the session up to this time was received, however far its shard is read - by the clock of the lanes. */
  readAt = 0;

  constructor(
    private readonly lane: L,
    { budget, laneBuffer }: { readonly budget: BodyBudget; readonly laneBuffer: number },
    lastSeq: number,
  ) {
    this.backlog = new Backlog(budget, laneBuffer, lastSeq);
    this.serial = new SerialRun(lane);
  }

  get key(): SessionTokens {
    return (this.madeKey ??= keyOfLane(this.lane.id, this.lane.home.shard));
  }

  get concurrent(): ConcurrentRuns<L> {
    return (this.madeConcurrent ??= new ConcurrentRuns(this.lane));
  }

  /** Asked at every step of every lane; most lanes never have one. */
  get hasConcurrentRuns(): boolean {
    return this.madeConcurrent !== undefined && !this.madeConcurrent.isEmpty;
  }

  /** Runs while the lane could begin, and does not. */
  get waitingClock(): WaitingClock {
    return (this.madeClock ??= new WaitingClock());
  }

  get isWaitingClockRunning(): boolean {
    return this.madeClock?.isRunning === true;
  }

  /** How long the lane could have begun with what waits, in ms. */
  waitingMs(monotonicNow: number): number {
    return this.madeClock?.elapsedMs(monotonicNow) ?? 0;
  }

  giveUpOnMissing(): void {
    this.serial.giveUpOnMissing();
    this.madeConcurrent?.giveUpOnMissing();
  }

  /** All of it is the numbers of messages that are not kept. */
  get isParkable(): boolean {
    const { backlog, serial, madeConcurrent, tasks } = this;
    return backlog.isParkable && serial.isSpent && (madeConcurrent?.isSpent ?? true) && tasks === undefined;
  }

  /** A lane that goes on without it does nothing else than one that goes on with it. */
  get isSpent(): boolean {
    const { backlog, serial, madeConcurrent, tasks } = this;
    return backlog.isSpent && serial.isSpent && (madeConcurrent?.isSpent ?? true) && tasks === undefined;
  }
}
