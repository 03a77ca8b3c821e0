import { makeRunId, type RunInWork, isDecided, hasWindow } from '#contracts';
import type { InboxItem } from '../backlog/inbox-item.js';
import { firstWithinHoles, isAtHolesBound } from './cursor-bound.js';
import { Run } from './lane-run.js';
import type { LaneView } from './lane-view.js';
import { runAfterCrash } from './after-crash.js';
import { withinRecord } from '../turn-rules/record-bounds.js';
import { takeBatch, upToTask } from '../turn-rules/take-batch.js';
import { firstWindow } from '../turn-rules/waiting-window.js';

/** The run of what waits its turn: at most one at a time (L1). Everything but `concurrent` goes through it. */
export class SerialRun<L extends LaneView = LaneView> extends Run<L> {
  /** Of messages up to here a dead owner may have begun a turn that left no sign. */
  private maybeBegunUpTo = 0;
  private incompleteRunId: string | undefined;
  private madeAlone: readonly Run<L>[] | undefined;

  override get isConcurrent(): boolean {
    return false;
  }

  /** What runs of a lane that has no other runs: asked for at every step. */
  get alone(): readonly Run<L>[] {
    return (this.madeAlone ??= [this]);
  }

  /** Nothing has to be known of it to begin the next turn. */
  get isSpent(): boolean {
    const { batch, next, place, maybeBegunUpTo, incompleteRunId, lane } = this;
    const isIdle = batch === undefined && next === undefined && place < 0 && lane.head.run === null;
    return isIdle && maybeBegunUpTo === 0 && incompleteRunId === undefined;
  }

  /** `begun`: the last that was said of its turn; null = nothing, it may have begun with messages up to `upTo`. */
  assumeCrash(begun: RunInWork | null, upTo: number): void {
    if (begun === null) {
      this.maybeBegunUpTo = upTo;
      return;
    }
    const after = runAfterCrash(begun);
    this.next = after.run;
    this.isCondemned = after.isCondemned;
    this.mustRecord = after.hasCrashed;
  }

  /** The reader has handed over everything there was: what a frozen batch still lacks is gone from the inbox. */
  giveUpOnMissing(): void {
    if (!this.isIncomplete) return;
    // Not the same messages any more, so not the same run (L7): what is left runs as a new batch.
    this.incompleteRunId = this.next?.runId;
    if (this.mustRecord) this.maybeBegunUpTo = Math.max(...(this.next?.seqs ?? []));
    this.clear();
  }

  /** When the window of the next batch is over, by the clock of the lanes, while one is open. */
  get windowEndsAt(): number | undefined {
    const { serialWaiting } = this.lane;
    const [oldest] = serialWaiting;
    const isFree = this.batch === undefined && this.next === undefined && this.lane.handoff === undefined;
    // What may have begun already does not wait again.
    if (oldest === undefined || !isFree || this.begunItems.length > 0) return undefined;
    const { endsAt } = firstWindow(this.sharing, oldest.queueing, this.lane.busyUntil);
    if (endsAt === 0) return undefined;
    // The broker's clock may be ahead of ours by more than a window.
    return Math.min(endsAt - this.lane.wallAheadMs, this.lane.lastArrivalAt + oldest.queueing.debounceMs);
  }

  /** What is in the window of the next batch while nothing runs: it waits for others to come, and for no turn. */
  get windowItems(): readonly InboxItem[] {
    const [oldest] = this.lane.serialWaiting;
    if (oldest === undefined || !this.hasWindow || this.isBusy || this.lane.handoff !== undefined) return [];
    const { sharing } = this;
    return sharing.slice(0, firstWindow(sharing, oldest.queueing, this.lane.busyUntil).count);
  }

  /**
   * The reader has not handed over everything there was, and messages that belong to the window may be among the rest: judged
   * by what is here, the batch would be another one than at the former owner.
   */
  get isWindowUnread(): boolean {
    const { home } = this.lane;
    if ((home.isCaughtUp && !home.isBehind) || !this.hasWindow) return false;
    // By the clock of the lanes a window may have been over before there was one, and what was never read was read at zero.
    return this.lane.readUpTo(0) < Math.max(1, this.windowEndsAt ?? 1);
  }

  /** A former owner that is gone may have begun with some of what waits, and it is not known yet with how much of it. */
  get isBeginningUnread(): boolean {
    return this.isWindowUnread && this.begunItems.length > 0;
  }

  /** What waits does so for others to come, too. */
  get hasWindow(): boolean {
    const [oldest] = this.lane.serialWaiting;
    return oldest !== undefined && hasWindow(oldest.queueing.strategy);
  }

  /** A turn runs, waits for its next attempt, or may have begun before a crash: what comes now comes while it is busy. */
  get isBusy(): boolean {
    return this.batch !== undefined || this.next !== undefined || this.begunItems.length > 0;
  }

  /** The sequences of the run that is next, if it has run or may have, and of the parts that come behind it. */
  get claimedSeqs(): readonly number[] {
    const seqs = this.next?.seqs ?? this.begunItems.map(({ seq }) => seq);
    const { remainingParts } = this;
    return remainingParts.length === 0 ? seqs : [...seqs, ...remainingParts.flat()];
  }

  /** Of a record that stands: what its head has of a run that is to come, unless it can never be whole again. */
  adopt(run: RunInWork | null): void {
    if (this.batch !== undefined) return;
    const { head } = this.lane;
    const isOpen = run !== null && run.runId !== this.incompleteRunId && run.seqs.every((seq) => !isDecided(head, seq));
    this.clear();
    if (isOpen) this.next = { ...run };
  }

  /**
   * As `adopt`, for our own record: one that is not about the next batch does not stand for the one that is still to be
   * written.
   */
  adoptOwn(run: RunInWork | null): void {
    const { next, mustRecord, isCondemned } = this;
    this.adopt(run);
    if (next === undefined || this.batch !== undefined || !(mustRecord || isCondemned)) return;
    const isRecorded = run?.runId === next.runId && run.attempt === next.attempt;
    if ((isRecorded && !isCondemned) || next.seqs.some((seq) => isDecided(this.lane.head, seq))) return;
    Object.assign(this, { next, mustRecord, isCondemned });
  }

  override end(wallNow: number): void {
    if (this.batch !== undefined) this.lane.busyUntil = wallNow;
    this.putBack();
    this.adopt(this.lane.head.run);
  }

  protected override pick(): readonly InboxItem[] {
    const { lane } = this;
    if (isAtHolesBound(lane)) {
      const { undecidedFrom } = lane;
      return lane.serialWaiting.filter(({ seq }) => seq === undecidedFrom);
    }
    const items = takeBatch(lane.serialWaiting, lane.busyUntil);
    return firstWithinHoles(lane, items.length === 1 ? items : withinRecord(items, lane.maxBatch));
  }

  protected override mayBeginFresh(now: number): boolean {
    if (this.isWindowUnread) return false;
    if (this.lane.serialWaiting.length > 0) return (this.windowEndsAt ?? 0) <= now && this.mayMakeHole;
    return !this.lane.hasConcurrent && this.lane.backlog.beyond.length > 0;
  }

  override freezeBegun(): void {
    if (this.maybeBegunUpTo === 0 || this.isWindowUnread) return;
    const seqs = this.begunItems.map(({ seq }) => seq);
    if (seqs.length === 0) return;
    this.next = { runId: makeRunId(this.lane.key, seqs), seqs, attempt: 2, crashes: 1 };
    // One batch at a time: what waits behind it was not begun.
    this.maybeBegunUpTo = 0;
    this.mustRecord = true;
  }

  /** What waits and may share a turn with the oldest, as far as tasks are concerned. */
  private get sharing(): readonly InboxItem[] {
    const { serialWaiting, tasks } = this.lane;
    return tasks === undefined ? serialWaiting : upToTask(serialWaiting);
  }

  /** Asked at every step of a lane: nearly every lane has no hole at all. */
  private get mayMakeHole(): boolean {
    return this.lane.head.done.length === 0 || this.pick().length > 0;
  }

  /** The batch that a dead owner may have begun without a sign. */
  private get begunItems(): readonly InboxItem[] {
    if (this.maybeBegunUpTo === 0 || this.batch !== undefined || this.next !== undefined) return [];
    const items = this.pick();
    return items.some(({ seq }) => seq <= this.maybeBegunUpTo) ? items : [];
  }
}
