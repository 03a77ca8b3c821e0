import {
  makeRunId,
  QUEUE_DEFAULTS,
  type Head,
  type QueueSettings,
  type RunInWork,
  type SessionTokens,
} from '#contracts';
import { makeBatch, runOf, type Batch } from './batch.js';
import { decide, emptyHead, isDecided, MAX_DONE_RANGES } from './head.js';
import { readInboxItem, type InboxItem, type QueueingOf, type RawInboxMessage } from './inbox-item.js';
import { BodyBudget, LaneBacklog, MAX_RECORD_MESSAGES } from './lane-backlog.js';
import { cutRun, QUARANTINE_CRASHES, runAfterCrash, type CutTurn } from './lane-recovery.js';
import { takeBatch } from './take-batch.js';
import { WaitingClock } from './waiting-clock.js';
import { firstWindow } from './waiting-window.js';

/**
 * The lane of one session: its queue and its state, as pure code. The runner does what the lane says and tells it how it
 * went; the lane never waits, reads a clock or writes.
 *
 *   loading --open--> idle --take--> running --end--> idle
 *                      idle (frozen, notBefore) --time--> idle (frozen) --take--> running        a retry
 *   loading, idle --hold--> held --unhold--> idle      a turn of a former owner still runs; nothing is decided here
 *
 * Beside that at most one record is on its way (`writing`), a note also while a turn runs:
 *
 *   written  the record stands; its head is the lane's head
 *   lost     another's record stands there; its head is the lane's head, and what we meant to decide is pending again
 *
 * L1  What the head has decided is never waiting. A batch of which another record decided a part is no longer whole, and
 *     its result is discarded.
 * L2  `waiting` is ascending by sequence.
 * L4  What a dead owner may have begun runs only after a record that fences it (`runToRecord`).
 * L7  A frozen batch runs only when all of it is there.
 */

/** A turn that still runs at a process which does not own the session any more. */
export interface Hold {
  /** Incarnation that runs it. */
  readonly holder: string;
  /** The session's last record when it was let go; a later one ends the hold. */
  readonly since: number;
}

/** A head as it was read: the state is in it, wherever the record had it from. */
export interface LoadedHead {
  readonly head: Head;
  /** Sequence of the record that carries the head; 0 = the session has no record. */
  readonly seq: number;
  /** Sequence of the record that holds the state; 0 = there is no state. */
  readonly stateSeq: number;
  /** About what it takes in memory; absent = next to nothing. */
  readonly bytes?: number;
}

export interface LaneOptions {
  readonly budget: BodyBudget;
  /** How much of its backlog it keeps as a whole - messages. */
  readonly laneBuffer: number;
  readonly queueingOf: QueueingOf;
}

/** Where a lane lives: the shard, as long as this process has it. */
export interface LaneHome {
  readonly state: 'open' | 'releasing' | 'closed';
}

const DEFAULTS: LaneOptions = {
  budget: new BodyBudget(Number.POSITIVE_INFINITY),
  laneBuffer: Number.POSITIVE_INFINITY,
  queueingOf: () => QUEUE_DEFAULTS,
};

export class Lane {
  readonly backlog: LaneBacklog;
  private isLoaded = false;
  private current: LoadedHead = { head: emptyHead(), seq: 0, stateSeq: 0 };
  private frozen: RunInWork | undefined;
  private batch: Batch | undefined;
  private mustRecord = false;
  private incompleteRunId: string | undefined;
  /** Of messages up to here a dead owner may have begun a turn that left no sign. */
  private maybeBegunUpTo = 0;
  /** Messages of it from here on may still have to be read for the first time. */
  unreadFrom: number | undefined;
  /** When the last turn ended, as far as this process knows - ms since the epoch. What came before that came while it was busy. */
  private busyUntil = 0;
  /** By our own clock. */
  private lastArrivalAt = 0;
  /** How messages wait that say nothing of their own. */
  readonly ownQueueing: QueueSettings;
  /** Some message of it waits otherwise. */
  isMixed = false;
  /** The highest sequence of a message that had to wait when it came. */
  queuedUpTo = 0;
  /** Runs while the lane could begin, and does not. */
  readonly waitingClock = new WaitingClock();
  /** By `waitingClock`. Most lanes never ask. */
  private knownAt: WeakMap<InboxItem, number> | undefined;
  hold: Hold | undefined;
  /** Its holder was given up for dead, and no record has fenced it yet: who gets the session before that has to do it. */
  unfenced: Hold | undefined;
  private isCondemned = false;
  /** A record of it was given up, since the process stops: nothing of it begins any more. */
  isStopped = false;
  /** Somebody else wrote where we meant to: nothing is written before it is certain again that the session is ours (L4). */
  isContested = false;
  private isOvertaken = false;
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
  }

  readItem(raw: RawInboxMessage): InboxItem {
    return readInboxItem(raw, this.tokenProblem, this.options.queueingOf);
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
  get running(): Batch | undefined {
    return this.batch;
  }
  get nextRun(): RunInWork | undefined {
    return this.frozen;
  }
  get oldestWaiting(): InboxItem | undefined {
    return this.backlog.waiting[0];
  }
  get toReject(): readonly InboxItem[] {
    return this.backlog.toReject(this.head, this.undecidedFrom);
  }

  /** The lowest sequence of the session that may be undecided; `undefined` when there is none. */
  get undecidedFrom(): number | undefined {
    const seqs = [this.unreadFrom, this.backlog.oldestSeq, this.batch?.items[0]?.seq].filter(
      (seq) => seq !== undefined,
    );
    return seqs.length === 0 ? undefined : Math.min(...seqs);
  }

  /** Takes a message that was read. False when it is known or decided. */
  arrive(item: InboxItem, now: number): boolean {
    const isNew = this.backlog.arrive(item, this.head);
    if (item.queueing !== this.ownQueueing) this.isMixed = true;
    if (isNew) this.lastArrivalAt = now;
    return isNew;
  }

  /** How long the lane could have begun with it since it is known here. `now`: of a clock that never goes back. */
  waitedMs(item: InboxItem, now: number): number {
    const elapsedMs = this.waitingClock.elapsedMs(now);
    this.knownAt ??= new WeakMap();
    const knownAt = this.knownAt.get(item) ?? elapsedMs;
    this.knownAt.set(item, knownAt);
    return elapsedMs - knownAt;
  }

  /** The head was read: from here on the lane may run, unless a former owner still does. */
  open(loaded: LoadedHead): void {
    this.isLoaded = true;
    if (this.hold !== undefined && loaded.seq > this.hold.since) this.hold = undefined;
    this.goOnFrom(loaded);
  }

  /**
   * Whoever had the session is gone without a word. `cut` is the last that was said of its turns, `upTo` the highest
   * sequence that it may have begun with.
   */
  assumeCrash(cut: CutTurn | undefined, upTo: number, now: number): void {
    this.hold = undefined;
    const { head, headSeq } = this;
    const signOfIt = cutRun(cut, head, headSeq);
    // A retry whose time has not come was not running, and what comes behind it was not either.
    if (signOfIt === undefined && (head.run?.notBefore ?? 0) > now) return;
    const begun = signOfIt ?? head.run;
    if (begun === null) {
      this.maybeBegunUpTo = upTo;
      return;
    }
    const after = runAfterCrash(begun);
    this.frozen = after.run;
    this.isCondemned = after.isCondemned;
    this.mustRecord = after.hasCrashed;
  }

  /** Waits for messages of a frozen batch that the reader has not handed over yet. */
  get isIncomplete(): boolean {
    if (this.frozen === undefined || this.toRead.length > 0) return false;
    return this.backlog.itemsOf(this.frozen.seqs).length < this.frozen.seqs.length;
  }

  /** Sequences whose messages have to be read again before the next turn begins. */
  get toRead(): readonly number[] {
    return this.backlog.beyond.length === 0 ? [] : this.backlog.toRead(this.frozen?.seqs.at(-1) ?? 0);
  }

  /** The reader has handed over everything there was: what a frozen batch still lacks is gone from the inbox. */
  giveUpOnMissing(): void {
    if (!this.isIncomplete) return;
    // Not the same messages any more, so not the same run (L7): what is left runs as a new batch.
    this.incompleteRunId = this.frozen?.runId;
    if (this.mustRecord) this.maybeBegunUpTo = Math.max(...(this.frozen?.seqs ?? []));
    this.frozen = undefined;
    this.mustRecord = false;
    this.isCondemned = false;
  }

  /** Time (ms since the epoch) of the next attempt, while the lane waits for a retry. */
  get retryAt(): number | undefined {
    return this.batch === undefined && this.hold === undefined ? this.frozen?.notBefore : undefined;
  }

  canTake(now: number): boolean {
    if (!this.isLoaded || this.batch !== undefined || this.hold !== undefined) return false;
    if (this.frozen !== undefined) return (this.frozen.notBefore ?? 0) <= now && !this.isIncomplete;
    if (this.backlog.waiting.length === 0) return this.backlog.beyond.length > 0;
    return (this.windowEndsAt ?? 0) <= now;
  }

  /** Time (ms since the epoch) at which the window of the next batch is over, while one is open. */
  get windowEndsAt(): number | undefined {
    const { waiting } = this.backlog;
    const [oldest] = waiting;
    if (oldest === undefined || this.batch !== undefined || this.frozen !== undefined || this.hold !== undefined) {
      return undefined;
    }
    // What may have begun already does not wait again.
    if (oldest.seq <= this.maybeBegunUpTo) return undefined;
    const { endsAt } = firstWindow(waiting, oldest.queueing, this.busyUntil);
    // The broker's clock may be ahead of ours by more than a window.
    return endsAt === 0 ? undefined : Math.min(endsAt, this.lastArrivalAt + oldest.queueing.debounceMs);
  }

  /** A turn of it runs, waits for its next attempt, or may have begun before a crash: what comes now comes while it is busy. */
  get isBusy(): boolean {
    return this.batch !== undefined || this.frozen !== undefined || this.begunItems.length > 0;
  }

  /** What waits behind the run that is next, ascending; only these may be dropped or expire. */
  get queued(): InboxItem[] {
    const next = new Set(this.frozen?.seqs ?? this.begunItems.map(({ seq }) => seq));
    return next.size === 0 ? this.backlog.waiting : this.backlog.waiting.filter(({ seq }) => !next.has(seq));
  }

  /** The batch that a dead owner may have begun without a sign. */
  private get begunItems(): readonly InboxItem[] {
    const oldest = this.oldestWaiting;
    if (oldest === undefined || this.batch !== undefined || this.frozen !== undefined) return [];
    return oldest.seq <= this.maybeBegunUpTo ? this.nextItems() : [];
  }

  /** The next batch is one of those that run one at a time. */
  get needsQuarantine(): boolean {
    return this.frozen !== undefined && this.frozen.crashes >= QUARANTINE_CRASHES && !this.isCondemned;
  }

  /**
   * The run that a note must make durable before its batch runs: it fences whoever may still run it, since a commit of
   * theirs then meets another last record, and it counts the crash. `undefined`: nothing stands in the way.
   */
  runToRecord(): RunInWork | undefined {
    const oldest = this.oldestWaiting;
    if (this.frozen === undefined && oldest !== undefined && oldest.seq <= this.maybeBegunUpTo) {
      const seqs = this.nextItems().map(({ seq }) => seq);
      this.frozen = { runId: makeRunId(this.key, seqs), seqs, attempt: 2, crashes: 1 };
      // One batch at a time: what waits behind it was not begun.
      this.maybeBegunUpTo = 0;
      this.mustRecord = true;
    }
    if (this.frozen === undefined || this.isCondemned) return undefined;
    if (this.needsQuarantine && this.frozen.quarantined !== true) return { ...this.frozen, quarantined: true };
    return this.mustRecord ? { ...this.frozen } : undefined;
  }

  /** Freezes the next batch and takes it out of the queue. Call only when `canTake`. */
  take(now: number): Batch {
    const items = this.nextItems();
    if (!this.canTake(now) || items.length === 0) throw new Error('nothing to take');
    const { frozen } = this;
    this.batch = makeBatch(this.key, items, frozen, this.isCondemned);
    this.backlog.take(items);
    this.frozen = undefined;
    this.mustRecord = false;
    this.isCondemned = false;
    return this.batch;
  }

  /** False when a record of somebody else decided a part of the running batch, or fenced it: its result must be discarded. */
  get batchIsWhole(): boolean {
    if (this.batch === undefined || this.isOvertaken) return false;
    return this.batch.items.every((item) => !isDecided(this.head, item.seq));
  }

  /** What a note beside the running turn says of it: the attempt that runs. */
  get runBesideNote(): RunInWork | null {
    // Of a batch that somebody else has decided nothing is left to say.
    if (this.batch === undefined || !this.batchIsWhole) return this.head.run;
    const quarantined = this.batch.isQuarantined ? { quarantined: true as const } : {};
    return { ...runOf(this.batch), ...quarantined };
  }

  /** The cursor after `seqs` are decided too. */
  cursorAfter(seqs: readonly number[]): Pick<Head, 'upto' | 'done'> {
    // The common case, and the only one for a long backlog: nothing that waits lies before the last of these.
    const last = seqs.at(-1) ?? 0;
    if (this.head.done.length === 0 && this.decidesBatch(seqs) && last < (this.backlog.oldestSeq ?? last + 1)) {
      return { upto: last, done: [] };
    }
    return decide(this.head, seqs, this.backlog.undecided(this.batch?.items ?? [], this.head), this.backlog.lastSeq);
  }

  /** Our record stands. One that is not about the next batch does not stand for the one that is still to be written. */
  wrote(loaded: LoadedHead): void {
    const { frozen, mustRecord, isCondemned } = this;
    this.goOnFrom(loaded);
    if (frozen === undefined || this.batch !== undefined || !(mustRecord || isCondemned)) return;
    const isRecorded = loaded.head.run?.runId === frozen.runId && loaded.head.run.attempt === frozen.attempt;
    if ((isRecorded && !isCondemned) || frozen.seqs.some((seq) => isDecided(loaded.head, seq))) return;
    Object.assign(this, { frozen, mustRecord, isCondemned });
  }

  /** Another's record stands where ours was to stand. While a turn runs here nobody else writes, unless it was given up. */
  lost(winner: LoadedHead): void {
    this.isContested = true;
    this.isOvertaken = this.batch !== undefined;
    this.goOnFrom(winner);
  }

  /** A record stands: its head is the truth. */
  goOnFrom(loaded: LoadedHead): void {
    this.current = loaded;
    this.unfenced = undefined;
    this.mustRecord = false;
    this.isCondemned = false;
    this.backlog.dropDecided(loaded.head);
    if (this.batch === undefined) this.refreeze();
  }

  /** The turn is over. What no record decided waits again, in its old place. */
  endTurn(now: number): void {
    const items = this.batch?.items ?? [];
    if (this.batch !== undefined) this.busyUntil = now;
    this.batch = undefined;
    this.isOvertaken = false;
    this.backlog.putBack(items.filter((item) => !isDecided(this.head, item.seq)));
    this.refreeze();
  }

  private decidesBatch(seqs: readonly number[]): boolean {
    const items = this.batch?.items;
    return items?.length === seqs.length && items.every(({ seq }, i) => seq === seqs[i] && seq > this.head.upto);
  }

  private refreeze(): void {
    const { run } = this.head;
    const isOpenRun =
      run !== null && run.runId !== this.incompleteRunId && run.seqs.every((seq) => !isDecided(this.head, seq));
    this.frozen = isOpenRun ? { ...run } : undefined;
  }

  private nextItems(): InboxItem[] {
    if (this.frozen !== undefined) return this.backlog.itemsOf(this.frozen.seqs);
    const items = takeBatch(this.backlog.waiting, this.busyUntil);
    return items.slice(0, this.head.done.length < MAX_DONE_RANGES ? MAX_RECORD_MESSAGES : 1);
  }
}
