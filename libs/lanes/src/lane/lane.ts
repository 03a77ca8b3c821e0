import {
  QUEUE_DEFAULTS,
  type Head,
  type QueueSettings,
  type SessionTokens,
  emptyHead,
  isDecided,
  withSharedEmpties,
  MAX_DONE_RANGES,
  MAX_RECORD_MESSAGES,
  type LoadedHead,
  keyOfLane,
  isConcurrent,
} from '#contracts';
import { readInboxItem, type InboxItem, type ItemRules, type RawInboxMessage } from '../backlog/inbox-item.js';
import { isHandoffOver, type Handoff } from './handoff.js';
import { BodyBudget } from '../backlog/body-budget.js';
import { isAtHolesBound, withinHoles } from './cursor-bound.js';
import { withoutHoldings } from './held-tasks.js';
import { cutRun, mayHaveRun, type CutTurn } from './after-crash.js';
import type { Run } from './lane-run.js';
import type { LaneHome, SlotPlace } from './lane-view.js';
import type { LaneTime } from './lane-time.js';
import { MessageTasks, startsTask, type TaskItem } from './message-tasks.js';
import { LaneWorkload } from './lane-workload.js';
import { WorkloadOnDemand } from './workload-on-demand.js';

/**
 * The lane of one session: its queue, its head and its runs, as pure code. The runner does what the lane says and tells it
 * how it went; the lane never waits, reads a clock or writes.
 *
 *   loading  its head is on its way (`isOpen` is false)        --the head is read--> handoff or free
 *   handoff  a turn of it still runs at a former owner          --its record stands, or that owner is gone--> free
 *            (`handoff`)
 *   free     its runs begin: one in turn (`serial`), and those of messages with the strategy `concurrent` beside it
 *            (`concurrent`). Their states stand in `lane-run`                        --`isStopped`--> stopped
 *   stopped  nothing of it begins any more: the process stops, its turn crashed internally, its records cannot be sent, or it
 *            was forgotten and another lane takes its place
 *
 * What may be true beside that, of a free lane:
 *
 *   `writing`      a record is on its way, a note also while turns run. There is at most one. It ends as
 *                    written  it stands; its head is the lane's head (`wrote`)
 *                    lost     a record of another worker stands there; its head is the lane's head, and what ours was to
 *                             decide is pending again (`lost`)
 *   `isContested`  another worker has written, or the lane has waited for long: before the next write it must be certain again
 *                  that the session is ours (L4)
 *   `unfenced`     a former owner was given up for dead, and no record has fenced it yet. The next owner has to know, in case
 *                  this one does not come to write that record
 *
 * Messages that start tasks are looked after until they begin (`tasks`; their states stand in `message-tasks`).
 *
 * All of that is its workload, made when it is needed (`workload-on-demand`).
 *
 * L1  What the head has decided is never waiting.
 * L2  `waiting` is in the order in which messages may be handled: that of the inbox, or of their numbers.
 */

export interface LaneOptions extends ItemRules {
  readonly budget: BodyBudget;
  /** How much of its backlog it keeps as a whole - messages. */
  readonly laneBuffer: number;
  /** How messages wait that say nothing of their own. */
  readonly ownQueueing: QueueSettings;
  /** Whether the guard is asked about a task when its message comes. */
  readonly isLookingAtTasks?: boolean;
  /** This process does not have the agent of the session: its messages wait, and are decided by orders alone. */
  readonly isAgentMissing?: true;
  /** When the turn of a run began here, ms since the epoch. */
  readonly startOf?: (run: LaneRun) => number | undefined;
  /** Absent = times from elsewhere are those of the clock by which the lane waits. */
  readonly time?: Pick<LaneTime, 'wallAheadMs'>;
}

/** A run of a whole lane, as the runner and the turns have it. */
export type LaneRun = Run<Lane>;

const NO_ITEMS: readonly InboxItem[] = [];
const NOT_LOADED: LoadedHead = { head: emptyHead(), seq: 0, stateSeq: 0 };

const DEFAULTS: LaneOptions = {
  budget: new BodyBudget(Number.POSITIVE_INFINITY),
  laneBuffer: Number.POSITIVE_INFINITY,
  ownQueueing: QUEUE_DEFAULTS,
  queueingOf: () => QUEUE_DEFAULTS,
};

export class Lane extends WorkloadOnDemand<Lane> {
  isOpen = false;
  private current = NOT_LOADED;
  /** Messages of it from here on may still have to be read for the first time. */
  unreadFrom: number | undefined;
  /** When its last turn in order ended, ms since the epoch: what the broker stored before came while the lane was busy. */
  busyUntil = 0;
  /** It waits for a slot for its run in turn. */
  place: SlotPlace | undefined;
  /** It waits for a slot for a run beside that one. */
  placeBeside: SlotPlace | undefined;
  /** Its neighbours among the lanes that have nothing to do, and since when it is one (`IdleLanes`). */
  idlePrevious: Lane | undefined;
  idleNext: Lane | undefined;
  idleSince: number | undefined;
  handoff: Handoff | undefined;
  /** Its former owner was given up for dead, and no record has fenced it yet. */
  unfenced: Handoff | undefined;
  /** See the states above. */
  isStopped = false;
  /** See the states above. */
  isContested = false;
  /** A record is on its way; resolves when it has ended. Commits of a session go one after another. */
  writing: Promise<unknown> | undefined;

  constructor(
    /** `<agentToken>.<sessionToken>` */
    readonly id: string,
    readonly home: LaneHome,
    private readonly options: LaneOptions = DEFAULTS,
  ) {
    super();
  }

  override get ownQueueing(): QueueSettings {
    return this.options.ownQueueing;
  }
  get isAgentMissing(): boolean {
    return this.options.isAgentMissing === true;
  }
  /** How far the wall clock is ahead of the clock by which the lane waits - ms. */
  get wallAheadMs(): number {
    return this.options.time?.wallAheadMs ?? 0;
  }

  readItem(raw: RawInboxMessage): InboxItem {
    // Not the one that the workload keeps: a lane that waits for a slot does without.
    return readInboxItem(this.makeKey(), raw, this.options);
  }

  /** Nothing of it up to here is new. */
  get knownUpTo(): number {
    return Math.max(this.workload?.backlog.lastSeq ?? this.restedAtSeq, this.head.upto);
  }
  get head(): Head {
    return this.current.head;
  }
  get headSeq(): number {
    return this.current.seq;
  }
  get headBytes(): number {
    return this.current.bytes ?? 0;
  }
  get stateSeq(): number {
    return this.current.stateSeq;
  }
  get toReject(): readonly InboxItem[] {
    const items = this.workload?.backlog.toReject(this.head, this.undecidedFrom) ?? NO_ITEMS;
    return items.length === 0 ? items : withinHoles(this, items);
  }

  /** The lowest sequence of the session that may be undecided; `undefined` when there is none. */
  get undecidedFrom(): number | undefined {
    if (this.workload === undefined) return this.unreadFrom ?? this.restedSeqs?.[0];
    let lowest = Math.min(
      this.unreadFrom ?? Number.POSITIVE_INFINITY,
      this.workload.backlog.oldestSeq ?? Number.POSITIVE_INFINITY,
    );
    for (const { batch } of this.running) lowest = Math.min(lowest, batch?.lowestSeq ?? lowest);
    return lowest === Number.POSITIVE_INFINITY ? undefined : lowest;
  }

  /** How many messages a turn takes at most. At the bound of holes only what moves the cursor may be decided. */
  get maxBatch(): number {
    return this.head.done.length < MAX_DONE_RANGES ? MAX_RECORD_MESSAGES : 1;
  }

  /** Takes a message that was read. False when it is known or decided. `now`: by the clock of the lanes. */
  arrive(item: InboxItem, now: number): boolean {
    const { atHand } = this;
    const kept = startsTask(item) ? this.admitTask(item) : item;
    const isNew = atHand.backlog.arrive(kept, this.head);
    if (item.queueing !== this.ownQueueing) {
      atHand.isMixed = true;
      atHand.sawConcurrent ||= isConcurrent(item.queueing.strategy);
    }
    if (isNew) atHand.lastArrivalAt = now;
    else this.rest();
    return isNew;
  }

  /** The head was read: from here on the lane may run, unless a former owner still does. */
  open(loaded: LoadedHead): void {
    this.isOpen = true;
    const shared = { ...loaded, head: withSharedEmpties(loaded.head) };
    this.workload?.backlog.startNumbers(loaded.head.nextSequence, loaded.head.wentOn);
    if (this.handoff !== undefined && isHandoffOver(this.handoff, loaded)) this.handoff = undefined;
    this.resumeFrom(shared);
  }

  /**
   * The former owner is gone without a word. `cut` is the last that was said of its turns, `upTo` the highest sequence that
   * it may have begun with. `wallNow`: ms since the epoch.
   */
  assumeCrash(cut: CutTurn | undefined, upTo: number, wallNow: number): void {
    this.handoff = undefined;
    // Of a retry whose time has not come too: its holder may go on with it as long as it likes.
    this.current = { ...this.current, head: withoutHoldings(this.head) };
    const { head, headSeq } = this;
    this.concurrent.assumeCrash(upTo, wallNow);
    const signOfIt = cutRun(cut, head, headSeq);
    // A retry whose time has not come was not running, and what comes behind it was not either.
    if (signOfIt === undefined && head.run !== null && !mayHaveRun(head.run, wallNow))
      return this.serial.adopt(head.run);
    this.serial.assumeCrash(signOfIt ?? head.run, upTo);
  }

  /** The reader has handed over everything there was: what a frozen batch still lacks is gone from the inbox. */
  giveUpOnMissing(): void {
    this.workload?.giveUpOnMissing();
  }

  /** The wait of numbered messages for those before them has begun by now, if it may begin. */
  startGapClock(now: number): void {
    if (this.workload !== undefined && this.mayWaitForNumbers) this.workload.backlog.startGapClock(now);
  }

  /**
   * When the wait of a numbered message for those before it is over, by the clock of the lanes; undefined = none waits. A
   * wait that has not begun counts from `now`.
   */
  gapEndsAt(now: number): number | undefined {
    return this.mayWaitForNumbers ? this.workload?.backlog.gapEndsAt(now) : undefined;
  }

  /** Until everything was read, a missing number may be among the rest. */
  private get mayWaitForNumbers(): boolean {
    if (this.workload === undefined) return false;
    const isRead = this.home.isCaughtUp || this.workload.readAt > 0;
    return isRead && this.workload.backlog.beyond.length === 0;
  }

  /**
   * What a former owner that is gone may have begun becomes a frozen batch, so that it is known by its run. Not before all of
   * it was read.
   */
  freezeBegun(): void {
    if (this.serial.isBeginningUnread) return;
    this.serial.freezeBegun();
    this.concurrent.freezeBegun();
  }

  /** Up to when everything of it was received that is stored, as far as this process can tell - by the clock of the lanes. */
  readUpTo(now: number): number {
    return this.home.isCaughtUp && !this.home.isBehind ? now : (this.workload?.readAt ?? 0);
  }

  /** It was read to its end by itself, beside its shard. */
  wasReadAt(now: number): void {
    if (this.workload === undefined) return;
    this.workload.readAt = Math.max(this.workload.readAt, now);
    this.giveUpOnMissing();
  }

  /** Our record stands. */
  wrote(loaded: LoadedHead): void {
    this.adopt(loaded);
    this.serial.adoptOwn(loaded.head.run);
    if (this.hasConcurrentRuns) this.concurrent.isUnfenced = false;
    this.adoptConcurrent();
  }

  /** The record of another worker stands where ours was to stand: that worker took this process for dead. */
  lost(winner: LoadedHead): void {
    this.isContested = true;
    for (const run of this.running) run.isOvertaken = true;
    // Either of us is a zombie, and its writer may go on with what it holds.
    this.resumeFrom({ ...winner, head: withoutHoldings(winner.head) });
  }

  /** A record stands: its head is the truth. */
  resumeFrom(loaded: LoadedHead): void {
    this.adopt(loaded);
    if (loaded.head.run !== null || this.workload !== undefined) this.serial.adopt(loaded.head.run);
    this.adoptConcurrent();
  }

  /**
   * Of numbered messages: what is to run again does not wait for the numbers before it; nor does the oldest one at the bound of
   * holes, or none would move the cursor. To be called before anything is taken.
   */
  releaseFrozen(): void {
    if (this.workload === undefined) return;
    const { serial, backlog } = this.workload;
    if (serial.next !== undefined) backlog.releaseNow(serial.next.seqs);
    else if (isAtHolesBound(this) && serial.batch === undefined && this.undecidedFrom !== undefined)
      backlog.releaseNow([this.undecidedFrom]);
  }

  /** The message as it is kept: of one that gets no turn, next to nothing. */
  private admitTask(item: TaskItem): InboxItem {
    if (item.seq <= this.backlog.lastSeq || isDecided(this.head, item.seq)) return item;
    const { isLookingAtTasks = false, startOf = () => undefined } = this.options;
    this.atHand.tasks ??= new MessageTasks<LaneRun>(this, isLookingAtTasks, startOf);
    return this.atHand.tasks.admit(item);
  }

  protected override makeKey(): SessionTokens {
    return keyOfLane(this.id, this.home.shard);
  }

  protected override makeWorkload(): LaneWorkload<Lane> {
    const made = new LaneWorkload<Lane>(this, this.options, this.restedAtSeq);
    if (this.isOpen) made.backlog.startNumbers(this.head.nextSequence, this.head.wentOn);
    if (this.home.state === 'closed') made.backlog.close();
    return made;
  }

  private adoptConcurrent(): void {
    if (this.head.runs !== undefined || this.hasConcurrentRuns) this.concurrent.adoptHead();
  }

  private adopt(loaded: LoadedHead): void {
    this.current = loaded;
    this.unfenced = undefined;
    if (this.workload === undefined && this.restedSeqs === undefined) return;
    this.atHand.backlog.dropDecided(loaded.head);
    this.atHand.backlog.adoptNumbers(loaded.head.nextSequence, loaded.head.wentOn);
    this.tasks?.adoptHead();
  }
}
