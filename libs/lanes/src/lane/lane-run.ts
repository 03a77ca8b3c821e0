import { type RunInWork, isDecided } from '#contracts';
import { makeBatch, runOf, type Batch } from '../turn-rules/batch.js';
import type { InboxItem } from '../backlog/inbox-item.js';
import type { LaneView } from './lane-view.js';
import { QUARANTINE_CRASHES } from './after-crash.js';

const NO_PARTS: NonNullable<RunInWork['rest']> = [];

/**
 * One run of a lane, as pure code:
 *
 *   nothing --head, crash--> next --take--> running --end--> nothing, or next again (retry, hand-back)
 *   nothing --take--> running
 *
 * `next` is a frozen batch: it has run before, or may have. `mustRecord` says that a note about it has to stand before it
 * runs; `isCondemned` that it does not run at all, and ends dead.
 *
 * Its next attempt goes on with the tasks that it held (`RunInWork.tasks`), unless a crash lies between them.
 *
 * L1  A batch of which another record decided a part is no longer whole, and its result is discarded.
 * L4  What a dead owner may have begun runs only after a record that fences it (`prepareNote`).
 * L7  A frozen batch runs only when all of it is there.
 */
export abstract class Run<L extends LaneView = LaneView> {
  next: RunInWork | undefined;
  batch: Batch | undefined;
  mustRecord = false;
  isCondemned = false;
  /** Another record stands where the record of this run was to stand. */
  isOvertaken = false;
  /** The record that ends it is on its way. */
  isEnding = false;
  /** Its place in the `RunTable` of what is in work; -1 = it is not in work. */
  place = -1;

  /** When the next attempt is due by the clock of the lanes, once that is fixed. */
  private due: { readonly notBefore: number; readonly at: number } | undefined;

  constructor(readonly lane: L) {}

  /** Other runs of the session run beside it. */
  abstract get isConcurrent(): boolean;
  /** What it would take of what waits, when nothing is frozen. */
  protected abstract pick(): readonly InboxItem[];
  /** Whether it may begin with what it would pick. */
  protected abstract mayBeginFresh(now: number): boolean;
  /** The turn is over. `wallNow`: ms since the epoch. */
  abstract end(wallNow: number): void;
  /** Freezes what a dead owner may have begun without a sign, if that is next. */
  abstract freezeBegun(): void;

  /** What comes behind it when it is a part of a split batch: taken once already, and never in the way of other runs. */
  get remainingParts(): NonNullable<RunInWork['rest']> {
    return (this.batch ?? this.next)?.rest ?? NO_PARTS;
  }

  /** Waits for messages of a frozen batch that the reader has not handed over yet. */
  get isIncomplete(): boolean {
    return this.next !== undefined && this.lacks() === 'not handed over';
  }

  /** Messages of a frozen batch have to be read again. */
  get isNotKept(): boolean {
    return this.next !== undefined && this.lacks() === 'not kept';
  }

  /** Time (ms since the epoch) of the next attempt, while it waits for a retry. */
  get retryAt(): number | undefined {
    return this.batch === undefined && this.lane.handoff === undefined ? this.next?.notBefore : undefined;
  }

  /** Fixes the time of the next attempt by the clock of the lanes: a wall clock that is set afterwards changes nothing. */
  fixDueTime(now: number): void {
    const { retryAt: notBefore } = this;
    if (notBefore === undefined || this.due?.notBefore === notBefore) return;
    this.due = { notBefore, at: this.dueFrom(notBefore, now) };
  }

  /** As `retryAt`, by the clock of the lanes (`LaneTime`). */
  dueAt(now: number): number | undefined {
    const { retryAt: notBefore } = this;
    if (notBefore === undefined) return undefined;
    return this.due?.notBefore === notBefore ? this.due.at : this.dueFrom(notBefore, now);
  }

  /** Another worker with another clock may have written it: it never waits longer than that worker meant (`waitMs`). */
  private dueFrom(notBefore: number, now: number): number {
    const { waitMs = Number.POSITIVE_INFINITY } = this.next ?? {};
    return Math.min(notBefore - this.lane.wallAheadMs, now + waitMs);
  }

  /** `now`: by the clock of the lanes. */
  canTake(now: number): boolean {
    if (!this.lane.isOpen || this.lane.handoff !== undefined || this.batch !== undefined) return false;
    if (this.next === undefined) return this.mayBeginFresh(now);
    if ((this.dueAt(now) ?? 0) > now) return false;
    const lacks = this.lacks();
    // Lanes with concurrent runs are read again before, and the others in the slot of their turn.
    return lacks === 'nothing' || (lacks === 'not kept' && !this.lane.hasConcurrent);
  }

  /** It is one of those that run one at a time. */
  get needsQuarantine(): boolean {
    return this.next !== undefined && this.next.crashes >= QUARANTINE_CRASHES && !this.isCondemned;
  }

  /**
   * Freezes what is next. The answer is the note that must stand before it runs: it fences another worker that may still run
   * it, since a commit of that worker then meets another last record, and it counts the crash. `undefined`: it may run.
   */
  prepareNote(): RunInWork | undefined {
    this.freezeBegun();
    if (this.next === undefined || this.isCondemned) return undefined;
    if (this.needsQuarantine && this.next.quarantined !== true) return { ...this.next, quarantined: true };
    return this.mustRecord ? { ...this.next } : undefined;
  }

  /** Freezes its batch and takes it out of the queue. Call only when `canTake`. */
  take(now: number): Batch {
    const items = this.nextItems();
    if (!this.canTake(now) || items.length === 0) throw new Error('nothing to take');
    const wallNow = now + this.lane.wallAheadMs;
    this.batch = makeBatch(this.lane.key, items, this.next, this.isCondemned, this.isConcurrent, wallNow);
    this.lane.backlog.take(items);
    this.lane.tasks?.tookIntoTurn(items);
    this.clear();
    return this.batch;
  }

  /** False when a record of another worker decided a part of the running batch, or fenced it: its result must be discarded. */
  get isWhole(): boolean {
    if (this.batch === undefined || this.isOvertaken) return false;
    return this.batch.items.every(({ seq }) => !isDecided(this.lane.head, seq));
  }

  /** The attempt that runs, as a record beside it says it; `undefined` when nothing is left to say of it. */
  get attemptInWork(): RunInWork | undefined {
    if (this.batch === undefined || !this.isWhole) return undefined;
    return { ...runOf(this.batch), ...(this.batch.isQuarantined ? { quarantined: true as const } : {}) };
  }

  /** The items that no record decided wait again, in their old place. */
  protected putBack(): void {
    const items = this.batch?.items ?? [];
    this.batch = undefined;
    this.isOvertaken = false;
    this.isEnding = false;
    this.lane.backlog.putBack(items.filter(({ seq }) => !isDecided(this.lane.head, seq)));
  }

  protected clear(): void {
    this.next = undefined;
    this.mustRecord = false;
    this.isCondemned = false;
  }

  protected nextItems(): readonly InboxItem[] {
    return this.next === undefined ? this.pick() : this.lane.backlog.itemsOf(this.next.seqs);
  }

  /** What stands in the way of a frozen batch; an early message is waited for by its number. */
  private lacks(): 'nothing' | 'not kept' | 'early' | 'not handed over' {
    const { backlog } = this.lane;
    const here = new Set(backlog.itemsOf(this.next?.seqs ?? []).map(({ seq }) => seq));
    const lacking = (this.next?.seqs ?? []).filter((seq) => !here.has(seq));
    if (lacking.length === 0) return 'nothing';
    const early = new Set(backlog.early.map(({ seq }) => seq));
    const notKept = new Set(backlog.beyond);
    if (lacking.some((seq) => !early.has(seq) && !notKept.has(seq))) return 'not handed over';
    // In this order: what is early is released when all of the batch has been read again.
    return lacking.some((seq) => notKept.has(seq)) ? 'not kept' : 'early';
  }
}
