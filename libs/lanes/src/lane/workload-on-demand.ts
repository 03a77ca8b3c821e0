import { type QueueSettings, type SessionTokens, isConcurrent } from '#contracts';
import type { InboxItem } from '../backlog/inbox-item.js';
import type { Backlog } from '../backlog/backlog.js';
import type { Run } from './lane-run.js';
import type { LaneView } from './lane-view.js';
import type { MessageTasks } from './message-tasks.js';
import type { LaneWorkload } from './lane-workload.js';
import type { ConcurrentRuns } from './concurrent-runs.js';
import type { SerialRun } from './serial-run.js';
import type { WaitingClock } from '../backlog/waiting-clock.js';

const NO_RUNS: readonly never[] = [];
const NO_ITEMS: readonly InboxItem[] = [];
const NO_SEQS: readonly number[] = [];

/**
 * The workload of a lane, and what the lane answers without one:
 *
 *   resting --something of it is asked for--> with a workload --rest, nothing is left to do or to know--> resting
 *                                                              --park, nothing is left but numbers that wait--> resting
 *
 * What most lanes never have is asked for here without making it. It is the base of the lane and no part of it: a part would be
 * one more object for each of many idle lanes.
 */
export abstract class WorkloadOnDemand<L extends LaneView> {
  protected workload: LaneWorkload<L> | undefined;
  /** While it has no workload: the highest sequence that was read. */
  protected restedAtSeq = 0;
  /** The same, where messages of it wait of which nothing else is known. */
  protected restedSeqs: number[] | undefined;

  /** How messages wait that say nothing of their own. */
  abstract get ownQueueing(): QueueSettings;
  protected abstract makeWorkload(): LaneWorkload<L>;
  /** The name of the session, made anew. */
  protected abstract makeKey(): SessionTokens;

  /** Made anew while it rests. */
  get key(): SessionTokens {
    return this.workload?.key ?? this.makeKey();
  }
  protected get atHand(): LaneWorkload<L> {
    if (this.workload !== undefined) return this.workload;
    this.workload = this.makeWorkload();
    if (this.restedSeqs !== undefined) this.workload.backlog.unpark(this.restedSeqs);
    this.restedSeqs = undefined;
    return this.workload;
  }
  get backlog(): Backlog {
    return this.atHand.backlog;
  }
  get serial(): SerialRun<L> {
    return this.atHand.serial;
  }
  get concurrent(): ConcurrentRuns<L> {
    return this.atHand.concurrent;
  }
  get waitingClock(): WaitingClock {
    return this.atHand.waitingClock;
  }
  get isWaitingClockRunning(): boolean {
    return this.workload?.isWaitingClockRunning === true;
  }
  /** How long it could have begun with what waits, in ms. */
  waitingMs(monotonicNow: number): number {
    return this.workload?.waitingMs(monotonicNow) ?? 0;
  }
  /** Only where a message came that starts a task. */
  get tasks(): MessageTasks<Run<L>> | undefined {
    return this.workload?.tasks;
  }
  /** Some message of it waits otherwise than those of its agent. */
  get isMixed(): boolean {
    return this.workload?.isMixed === true;
  }
  /** The highest sequence of a message that had to wait when it came. */
  get queuedUpTo(): number {
    return this.workload?.queuedUpTo ?? 0;
  }
  /** By the clock of the lanes. */
  get lastArrivalAt(): number {
    return this.workload?.lastArrivalAt ?? 0;
  }
  /** No order has to be done before a turn begins in turn. */
  get mayBeginInTurn(): boolean {
    return (
      this.workload === undefined || this.workload.backlog.cancelOrders.length === 0 || this.workload.areOrdersPutOff
    );
  }
  /** Whether its orders wait until the cursor has moved: what is the oldest, and is not meant by them, goes on. */
  putOrdersOff(arePutOff: boolean): void {
    this.atHand.areOrdersPutOff = arePutOff;
  }
  get oldestWaiting(): InboxItem | undefined {
    return this.workload?.backlog.waiting[0];
  }
  /** How many messages wait, as its users count them: what is asked about is not among them yet. */
  get depth(): number {
    if (this.workload === undefined) return this.restedSeqs?.length ?? 0;
    const { backlog, tasks } = this.workload;
    return backlog.depth - (tasks?.pendingCount ?? 0);
  }

  /** A message that came has to wait. */
  queued({ seq }: InboxItem): void {
    this.atHand.queuedUpTo = seq;
  }

  /** The runs whose turns are in work, the one that runs in turn first. */
  get running(): readonly Run<L>[] {
    if (this.workload === undefined) return NO_RUNS;
    const { serial, hasConcurrentRuns } = this.workload;
    // Asked at every step of every lane.
    if (!hasConcurrentRuns) return serial.batch === undefined ? NO_RUNS : serial.alone;
    const { running } = this.workload.concurrent;
    return serial.batch === undefined ? running : [serial, ...running];
  }

  /** The runs of which some come again, the one in order first. */
  get frozenRuns(): readonly Run<L>[] {
    if (this.workload === undefined) return NO_RUNS;
    const { serial, hasConcurrentRuns } = this.workload;
    return hasConcurrentRuns ? [serial, ...this.workload.concurrent.frozen] : serial.alone;
  }

  /** Runs beside each other are in work, or come again. */
  get hasConcurrentRuns(): boolean {
    return this.workload?.hasConcurrentRuns === true;
  }
  /** Some of its messages may run beside others. */
  get hasConcurrent(): boolean {
    if (isConcurrent(this.ownQueueing.strategy)) return true;
    return this.workload !== undefined && (this.workload.sawConcurrent || this.workload.hasConcurrentRuns);
  }
  /** What waits its turn, ascending. */
  get serialWaiting(): readonly InboxItem[] {
    const waiting = this.workload?.backlog.waiting ?? NO_ITEMS;
    return this.hasConcurrent ? waiting.filter(({ queueing }) => !isConcurrent(queueing.strategy)) : waiting;
  }
  get concurrentWaiting(): readonly InboxItem[] {
    if (!this.hasConcurrent) return NO_ITEMS;
    return this.backlog.waiting.filter(({ queueing }) => isConcurrent(queueing.strategy));
  }

  /** Waits for messages of a frozen batch that the reader has not handed over yet. */
  get isIncomplete(): boolean {
    if (this.workload === undefined) return false;
    const { serial, hasConcurrentRuns } = this.workload;
    return serial.isIncomplete || (hasConcurrentRuns && this.workload.concurrent.isIncomplete);
  }

  /** Sequences whose messages have to be read again before the next turn begins. */
  get toRead(): readonly number[] {
    if (this.workload === undefined || this.workload.backlog.beyond.length === 0) return NO_SEQS;
    const upTo = Math.max(0, ...this.frozenRuns.flatMap(({ next }) => next?.seqs ?? []));
    return this.workload.backlog.toRead(upTo);
  }

  /** Gives up its workload while nothing of it is left to do or to know. It is made anew when a message comes. */
  rest(): void {
    if (this.workload?.isSpent !== true) return;
    this.restedAtSeq = this.workload.backlog.lastSeq;
    this.workload = undefined;
  }

  /** Gives up its workload while nothing of it is left but the numbers of messages that can do nothing but wait. */
  park(): void {
    if (this.workload?.isParkable !== true) return;
    this.restedAtSeq = this.workload.backlog.lastSeq;
    this.restedSeqs = this.workload.backlog.parked;
    this.workload = undefined;
  }

  /** Its shard is given away or lost: it keeps no bodies, and nothing of it is read again. */
  close(): void {
    this.workload?.backlog.close();
  }
}
