import { QUEUE_DEFAULTS, type Head, type QueueSettings, type SessionTokens } from '#contracts';
import { emptyHead, isDecided, MAX_DONE_RANGES, MAX_RECORD_MESSAGES, type LoadedHead } from './head.js';
import { readInboxItem, type InboxItem, type QueueingOf, type RawInboxMessage, type TaskOf } from './inbox-item.js';
import { isHoldOver, type Hold } from './hold.js';
import { BodyBudget } from './body-budget.js';
import { LaneBacklog } from './lane-backlog.js';
import { withoutHoldings } from './held-tasks.js';
import { cutRun, type CutTurn } from './lane-recovery.js';
import type { LaneRun } from './lane-run.js';
import { LaneTasks, startsTask, type TaskItem } from './lane-tasks.js';
import { ParallelRuns } from './parallel-runs.js';
import { SerialRun } from './serial-run.js';
import { isParallel } from './strategy-table.js';
import { WaitingClock } from './waiting-clock.js';

/**
 * The lane of one session: its queue, its head and its runs, as pure code. The runner does what the lane says and tells it
 * how it went; the lane never waits, reads a clock or writes.
 *
 *   loading --open--> free --hold--> held --unhold--> free      held: a turn of a former owner still runs
 *   loading --hold--> held
 *
 * While it is free its runs begin: one in turn (`serial`), and beside it those of `concurrent` messages (`parallel`); their
 * states stand in `lane-run`. At most one record is on its way (`writing`), a note also while turns run:
 *
 *   written  the record stands; its head is the lane's head
 *   lost     another's record stands there; its head is the lane's head, and what we meant to decide is pending again
 *
 * Messages that start tasks are looked after beside that, until they begin (`tasks`; their states stand in `lane-tasks`).
 *
 * L1  What the head has decided is never waiting.
 * L2  `waiting` is in the order in which messages may be handled: that of the inbox, or of their numbers.
 */

export interface LaneOptions {
  readonly budget: BodyBudget;
  /** How much of its backlog it keeps as a whole - messages. */
  readonly laneBuffer: number;
  readonly queueingOf: QueueingOf;
  /** Absent: no message of it starts a task. */
  readonly taskOf?: TaskOf | undefined;
  /** Whether somebody is asked about a task when its message comes. */
  readonly isLookingAtTasks?: boolean;
  /** When the turn of a run began here, ms since the epoch. */
  readonly startOf?: (run: LaneRun) => number | undefined;
}

/** Where a lane lives: the shard, as long as this process has it. */
export interface LaneHome {
  readonly state: 'open' | 'releasing' | 'closed';
  /** Everything that was stored when reading began was received. */
  readonly isCaughtUp: boolean;
  /** No more of it is read for now, or was for a while: something that is stored for its lanes may not be received yet. */
  readonly isBehind: boolean;
}

const NONE: readonly LaneRun[] = [];

const DEFAULTS: LaneOptions = {
  budget: new BodyBudget(Number.POSITIVE_INFINITY),
  laneBuffer: Number.POSITIVE_INFINITY,
  queueingOf: () => QUEUE_DEFAULTS,
};

export class Lane {
  readonly backlog: LaneBacklog;
  readonly serial: SerialRun;
  private readonly serialAlone: readonly LaneRun[];
  readonly parallel: ParallelRuns;
  /** Only where a message came that starts a task. */
  tasks: LaneTasks | undefined;
  private isLoaded = false;
  private current: LoadedHead = { head: emptyHead(), seq: 0, stateSeq: 0 };
  /** Messages of it from here on may still have to be read for the first time. */
  unreadFrom: number | undefined;
  /** By our own clock. */
  lastArrivalAt = 0;
  /** What was stored of it up to this time was received, however far its shard is read - ms since the epoch. */
  private readAt = 0;
  /** How messages wait that say nothing of their own. */
  readonly ownQueueing: QueueSettings;
  /** Some message of it waits otherwise. */
  isMixed = false;
  private sawParallel: boolean;
  /** The highest sequence of a message that had to wait when it came. */
  queuedUpTo = 0;
  /** It waits for a slot for its run in turn. */
  isReady = false;
  /** It waits for a slot for a run beside that one. */
  isReadyBeside = false;
  /** Its neighbours among the lanes that have nothing to do, and since when it is one (`IdleLanes`). */
  idlePrevious: Lane | undefined;
  idleNext: Lane | undefined;
  idleSince: number | undefined;
  /** Runs while the lane could begin, and does not. */
  readonly waitingClock = new WaitingClock();
  hold: Hold | undefined;
  /** Its holder was given up for dead, and no record has fenced it yet: who gets the session before that has to do it. */
  unfenced: Hold | undefined;
  /** Nothing of it begins any more: a record was given up since the process stops, a turn came to no end, or it is forgotten. */
  isStopped = false;
  /** Somebody else wrote where we meant to: nothing is written before it is certain again that the session is ours (L4). */
  isContested = false;
  /** A record is on its way; resolves when it has ended. Commits of a session go one after another. */
  writing: Promise<unknown> | undefined;

  constructor(
    readonly key: SessionTokens,
    readonly home: LaneHome,
    /** Why no message of this subject can be one of a session; looked at once, not with every message. */
    readonly tokenProblem?: string,
    private readonly options: LaneOptions = DEFAULTS,
  ) {
    this.backlog = new LaneBacklog(options.budget, options.laneBuffer);
    this.ownQueueing = options.queueingOf();
    this.sawParallel = isParallel(this.ownQueueing.strategy);
    this.serial = new SerialRun(this);
    this.serialAlone = [this.serial];
    this.parallel = new ParallelRuns(this);
  }

  readItem(raw: RawInboxMessage): InboxItem {
    const { queueingOf, taskOf } = this.options;
    return readInboxItem(raw, this.tokenProblem, queueingOf, taskOf);
  }

  get isOpen(): boolean {
    return this.isLoaded;
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
  get oldestWaiting(): InboxItem | undefined {
    return this.backlog.waiting[0];
  }
  /** How many messages wait, as its users count them: what is asked about is not among them yet. */
  get depth(): number {
    return this.backlog.depth - (this.tasks?.pendingCount ?? 0);
  }
  get toReject(): readonly InboxItem[] {
    return this.backlog.toReject(this.head, this.undecidedFrom);
  }

  /** The runs whose turns are in work, the one that runs in turn first. */
  get running(): readonly LaneRun[] {
    const { serial, parallel } = this;
    // Asked at every step of every lane.
    if (parallel.isEmpty) return serial.batch === undefined ? NONE : this.serialAlone;
    return serial.batch === undefined ? parallel.running : [serial, ...parallel.running];
  }

  /** Some of its messages may run beside others. */
  get hasParallel(): boolean {
    return this.sawParallel || !this.parallel.isEmpty;
  }
  /** What waits its turn, ascending. */
  get serialWaiting(): readonly InboxItem[] {
    const { waiting } = this.backlog;
    return this.hasParallel ? waiting.filter(({ queueing }) => !isParallel(queueing.strategy)) : waiting;
  }
  get parallelWaiting(): readonly InboxItem[] {
    if (!this.hasParallel) return [];
    return this.backlog.waiting.filter(({ queueing }) => isParallel(queueing.strategy));
  }

  /** The lowest sequence of the session that may be undecided; `undefined` when there is none. */
  get undecidedFrom(): number | undefined {
    let lowest = Math.min(
      this.unreadFrom ?? Number.POSITIVE_INFINITY,
      this.backlog.oldestSeq ?? Number.POSITIVE_INFINITY,
    );
    for (const { batch } of this.running) lowest = Math.min(lowest, batch?.lowestSeq ?? lowest);
    return lowest === Number.POSITIVE_INFINITY ? undefined : lowest;
  }

  /** How many messages a turn takes at most. At the bound of holes only what moves the cursor may be decided. */
  get maxBatch(): number {
    return this.head.done.length < MAX_DONE_RANGES ? MAX_RECORD_MESSAGES : 1;
  }

  /** Takes a message that was read. False when it is known or decided. */
  arrive(item: InboxItem, now: number): boolean {
    const kept = startsTask(item) ? this.admitTask(item) : item;
    const isNew = this.backlog.arrive(kept, this.head);
    if (item.queueing !== this.ownQueueing) {
      this.isMixed = true;
      this.sawParallel ||= isParallel(item.queueing.strategy);
    }
    if (isNew) this.lastArrivalAt = now;
    return isNew;
  }

  /** The head was read: from here on the lane may run, unless a former owner still does. */
  open(loaded: LoadedHead): void {
    this.isLoaded = true;
    this.backlog.begin(loaded.head.nextSequence);
    if (this.hold !== undefined && isHoldOver(this.hold, loaded)) this.hold = undefined;
    this.goOnFrom(loaded);
  }

  /**
   * Whoever had the session is gone without a word. `cut` is the last that was said of its turns, `upTo` the highest
   * sequence that it may have begun with.
   */
  assumeCrash(cut: CutTurn | undefined, upTo: number, now: number): void {
    this.hold = undefined;
    // Of a retry whose time has not come too: its holder may go on with it as long as it likes.
    this.current = { ...this.current, head: withoutHoldings(this.head) };
    const { head, headSeq } = this;
    this.parallel.assumeCrash(upTo, now);
    const signOfIt = cutRun(cut, head, headSeq);
    // A retry whose time has not come was not running, and what comes behind it was not either.
    if (signOfIt === undefined && (head.run?.notBefore ?? 0) > now) return this.serial.follow(head.run);
    this.serial.assumeCrash(signOfIt ?? head.run, upTo);
  }

  /** Waits for messages of a frozen batch that the reader has not handed over yet. */
  get isIncomplete(): boolean {
    return this.serial.isIncomplete || (!this.parallel.isEmpty && this.parallel.isIncomplete);
  }

  /** Sequences whose messages have to be read again before the next turn begins. */
  get toRead(): readonly number[] {
    if (this.backlog.beyond.length === 0) return [];
    const upTo = Math.max(0, ...[this.serial, ...this.parallel.frozen].flatMap(({ next }) => next?.seqs ?? []));
    return this.backlog.toRead(upTo);
  }

  /** The reader has handed over everything there was: what a frozen batch still lacks is gone from the inbox. */
  giveUpOnMissing(): void {
    this.serial.giveUpOnMissing();
    this.parallel.giveUpOnMissing();
  }

  /** When the wait of a numbered message for those before it is over, by the clock of `giveUpGaps`; undefined = nobody waits. */
  gapEndsAt(now: number): number | undefined {
    // Until everything was read, what is waited for may be on its way.
    const isRead = this.home.isCaughtUp || this.readAt > 0;
    return isRead && this.backlog.beyond.length === 0 ? this.backlog.gapEndsAt(now) : undefined;
  }

  /** Up to when everything of it was received that is stored, as far as anybody can tell - ms since the epoch. */
  readUpTo(now: number): number {
    return this.home.isCaughtUp && !this.home.isBehind ? now : this.readAt;
  }

  /** It was read to its end by itself. */
  wasReadAt(now: number): void {
    this.readAt = Math.max(this.readAt, now);
    this.giveUpOnMissing();
  }

  /** It can go on only when it is known whether the unread part of its shard has something of it. */
  needsReadingAhead(now: number): boolean {
    if (!this.home.isBehind || !this.isLoaded || this.hold !== undefined || this.unreadFrom !== undefined) return false;
    if (this.serial.isWindowUnread) return (this.serial.windowEndsAt ?? 0) <= now;
    if (this.isIncomplete) return true;
    if (this.backlog.early.length === 0 || this.backlog.beyond.length > 0) return false;
    const endsAt = this.gapEndsAt(now) ?? 0;
    return endsAt <= now && this.readAt < Math.max(1, endsAt);
  }

  /** Our record stands. */
  wrote(loaded: LoadedHead): void {
    this.stand(loaded);
    this.serial.followOwn(loaded.head.run);
    this.parallel.follow();
  }

  /** Another's record stands where ours was to stand. While a turn runs here nobody else writes, unless it was given up. */
  lost(winner: LoadedHead): void {
    this.isContested = true;
    for (const run of this.running) run.isOvertaken = true;
    // Either of us is a zombie, and its writer may go on with what it holds.
    this.goOnFrom({ ...winner, head: withoutHoldings(winner.head) });
  }

  /** A record stands: its head is the truth. */
  goOnFrom(loaded: LoadedHead): void {
    this.stand(loaded);
    this.serial.follow(loaded.head.run);
    this.parallel.follow();
  }

  /** Of numbered messages: what is to run again does not wait for the numbers before it. To be called before anything is taken. */
  releaseBegun(): void {
    if (this.serial.next !== undefined) this.backlog.begun(this.serial.next.seqs);
  }

  /** The message as it is kept: of one that gets no turn, next to nothing. */
  private admitTask(item: TaskItem): InboxItem {
    if (item.seq <= this.backlog.lastSeq || isDecided(this.head, item.seq)) return item;
    const { isLookingAtTasks = false, startOf = () => undefined } = this.options;
    this.tasks ??= new LaneTasks(this, isLookingAtTasks, startOf);
    return this.tasks.admit(item);
  }

  private stand(loaded: LoadedHead): void {
    this.current = loaded;
    this.unfenced = undefined;
    this.backlog.dropDecided(loaded.head);
    this.backlog.follow(loaded.head.nextSequence);
    this.tasks?.follow();
  }
}
