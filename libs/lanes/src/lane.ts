import { makeRunId, type Head, type RunInWork, type SessionTokens } from '#contracts';
import { decide, emptyHead, isDecided, MAX_DONE_RANGES } from './head.js';
import type { InboxItem } from './inbox-item.js';
import { takeQueue } from './take-queue.js';

/**
 * The lane of one session: its queue and its state, as pure code. The runner does what the lane says and tells it how it
 * went; the lane never waits, reads a clock or writes.
 *
 *   loading --open--> idle --take--> running --end--> idle
 *                      idle (frozen, notBefore) --time--> idle (frozen) --take--> running        a retry
 *
 * Beside that at most one record is on its way (`writing`), a note also while a turn runs:
 *
 *   written  the record stands; its head is the lane's head
 *   lost     another's record stands there; its head is the lane's head, and what we meant to decide is pending again
 *
 * L1  What the head has decided is never waiting. A batch of which another record decided a part is no longer whole, and
 *     its result is discarded.
 * L2  `waiting` is ascending by sequence.
 * L7  A frozen batch runs only when all of it is there.
 */

/**
 * A record decides at most this many messages. Their ids alone may have 768 bytes each: without a bound, the backlog of an
 * outage would make a batch whose record, even that of its failure, is too large to be written.
 */
export const MAX_RECORD_MESSAGES = 500;

export interface Batch {
  readonly runId: string;
  readonly attempt: number;
  readonly crashes: number;
  /** Since when it is put off by "later"; absent when its last attempt was a real one. */
  readonly laterSince?: number;
  readonly items: readonly InboxItem[];
}

/** A batch that must run as it is: from the head's `run`, or from the last sign of a turn that was cut. */
interface FrozenBatch {
  readonly runId: string;
  readonly seqs: readonly number[];
  readonly attempt: number;
  readonly crashes: number;
  /** ms since the epoch. */
  readonly notBefore?: number | undefined;
  readonly laterSince?: number | undefined;
}

/** What the last `turn-started` event of a session says. */
export interface CutTurn {
  readonly runId: string;
  readonly seqs: readonly number[];
  readonly attempt: number;
  /** Sequence of the session's last record when it began. */
  readonly headSeq: number;
}

/** A head as it was read: the state is in it, wherever the record had it from. */
export interface LoadedHead {
  readonly head: Head;
  /** Sequence of the record that carries the head; 0 = the session has no record. */
  readonly seq: number;
  /** Sequence of the record that holds the state; 0 = there is no state. */
  readonly stateSeq: number;
}

export class Lane {
  private isLoaded = false;
  private current: LoadedHead = { head: emptyHead(), seq: 0, stateSeq: 0 };
  private waiting: InboxItem[] = [];
  private broken: InboxItem[] = [];
  private frozen: FrozenBatch | undefined;
  private batch: Batch | undefined;
  /** The highest sequence that was read, decided or not. */
  private lastSeq = 0;
  private mustFence = false;
  private incompleteRunId: string | undefined;
  /** A record is on its way; resolves when it has ended. Commits of a session go one after another. */
  writing: Promise<unknown> | undefined;

  constructor(
    readonly key: SessionTokens,
    /** Why no message of this subject can be one of a session; looked at once, not with every message. */
    readonly tokenProblem?: string,
  ) {}

  get isOpen(): boolean {
    return this.isLoaded;
  }
  get head(): Head {
    return this.current.head;
  }
  get headSeq(): number {
    return this.current.seq;
  }
  get stateSeq(): number {
    return this.current.stateSeq;
  }
  get running(): Batch | undefined {
    return this.batch;
  }
  get depth(): number {
    return this.waiting.length + this.broken.length;
  }
  get oldestWaiting(): InboxItem | undefined {
    return this.waiting[0];
  }
  get hasToReject(): boolean {
    return this.broken.length > 0 && this.toReject.length > 0;
  }
  /** Items that no turn can take; a note has to reject them. No more of them than one record holds. */
  get toReject(): readonly InboxItem[] {
    if (this.head.done.length < MAX_DONE_RANGES) return this.broken.slice(0, MAX_RECORD_MESSAGES);
    // Each would be one more hole: only what moves `upto` instead may be decided now.
    const [first] = this.broken;
    const oldest = this.undecided()[0];
    return first !== undefined && first.seq === oldest ? [first] : [];
  }

  /** Takes a message that was read. False when it is known or decided. */
  arrive(item: InboxItem): boolean {
    if (item.seq <= this.lastSeq) return false;
    this.lastSeq = item.seq;
    if (isDecided(this.head, item.seq)) return false;
    (item.content.ok ? this.waiting : this.broken).push(item);
    return true;
  }

  /** The head was read: from here on the lane may run. */
  open(loaded: LoadedHead, cut?: CutTurn): void {
    this.isLoaded = true;
    this.goOnFrom(loaded);
    const { head } = loaded;
    const { run } = head;
    // A record behind the hint tells more than the hint: the attempt that it names has ended, or is counted there.
    if (cut === undefined || cut.headSeq !== loaded.seq || cut.seqs.some((seq) => isDecided(head, seq))) return;
    if (run !== null && run.runId !== cut.runId) return;
    // Somebody began this batch and left no record: the same batch again, as the next attempt.
    this.frozen = { runId: cut.runId, seqs: cut.seqs, attempt: cut.attempt + 1, crashes: run?.crashes ?? 0 };
    this.mustFence = true;
  }

  /**
   * The run that a note must make durable before its batch runs again: the note also fences whoever cut it, since a
   * commit of theirs now meets another last record.
   */
  get runToFence(): RunInWork | undefined {
    if (!this.mustFence || this.frozen === undefined) return undefined;
    const { runId, seqs, attempt, crashes } = this.frozen;
    return { runId, seqs: [...seqs], attempt, crashes };
  }

  /** Waits for messages of a frozen batch that the reader has not handed over yet. */
  get isIncomplete(): boolean {
    return this.frozen !== undefined && !this.frozenItems().complete;
  }

  /** The reader has handed over everything there was: what a frozen batch still lacks is gone from the inbox. */
  giveUpOnMissing(): void {
    if (!this.isIncomplete) return;
    // Not the same messages any more, so not the same run (L7): what is left runs as a new batch.
    this.incompleteRunId = this.frozen?.runId;
    this.frozen = undefined;
    this.mustFence = false;
  }

  /** Time (ms since the epoch) of the next attempt, while the lane waits for a retry. */
  get retryAt(): number | undefined {
    return this.batch === undefined ? this.frozen?.notBefore : undefined;
  }

  /** The retry that the lane waits for. */
  get retry(): { runId: string; attempt: number; seqs: readonly number[]; notBefore: number } | undefined {
    const notBefore = this.retryAt;
    if (notBefore === undefined || this.frozen === undefined) return undefined;
    const { runId, attempt, seqs } = this.frozen;
    return { runId, attempt, seqs, notBefore };
  }

  canTake(now: number): boolean {
    if (!this.isLoaded || this.batch !== undefined || this.mustFence) return false;
    if (this.frozen === undefined) return this.waiting.length > 0;
    return (this.frozen.notBefore ?? 0) <= now && this.frozenItems().complete;
  }

  /** Freezes the next batch and takes it out of the queue. Call only when `canTake`. */
  take(now: number): Batch {
    const items = this.nextItems();
    if (!this.canTake(now) || items.length === 0) throw new Error('nothing to take');
    const seqs = items.map((item) => item.seq);
    this.batch = {
      runId: this.frozen?.runId ?? makeRunId(this.key, seqs),
      attempt: this.frozen?.attempt ?? 1,
      crashes: this.frozen?.crashes ?? 0,
      ...(this.frozen?.laterSince === undefined ? {} : { laterSince: this.frozen.laterSince }),
      items,
    };
    if (items.length === this.waiting.length) {
      this.waiting = [];
    } else {
      const taken = new Set(items);
      this.waiting = this.waiting.filter((item) => !taken.has(item));
    }
    this.frozen = undefined;
    return this.batch;
  }

  /** False when a record of somebody else decided a part of the running batch: its result must be discarded. */
  get batchIsWhole(): boolean {
    return this.batch !== undefined && this.batch.items.every((item) => !isDecided(this.head, item.seq));
  }

  /** What a note beside the running turn says of it: after a crash, the attempt behind it runs next. */
  get runBesideNote(): RunInWork | null {
    if (this.batch === undefined) return this.head.run;
    const { runId, attempt, crashes, items } = this.batch;
    return { runId, attempt: attempt + 1, crashes, seqs: items.map(({ seq }) => seq) };
  }

  /** The cursor after `seqs` are decided too. */
  cursorAfter(seqs: readonly number[]): Pick<Head, 'upto' | 'done'> {
    // The common case, a session without a backlog: everything that was read is decided with this.
    if (
      this.waiting.length === 0 &&
      this.broken.length === 0 &&
      this.head.done.length === 0 &&
      this.decidesBatch(seqs)
    ) {
      return { upto: seqs.at(-1) ?? this.head.upto, done: [] };
    }
    return decide(this.head, seqs, this.undecided(), this.lastSeq);
  }

  /** A record stands, ours or another's: its head is the truth. */
  goOnFrom(loaded: LoadedHead): void {
    this.current = loaded;
    this.mustFence = false;
    if (this.waiting.length > 0) this.waiting = this.waiting.filter((item) => !isDecided(loaded.head, item.seq));
    if (this.broken.length > 0) this.broken = this.broken.filter((item) => !isDecided(loaded.head, item.seq));
    if (this.batch === undefined) this.refreeze();
  }

  /** The turn is over. What no record decided waits again, in its old place. */
  endTurn(): void {
    const items = this.batch?.items ?? [];
    this.batch = undefined;
    const back = items.filter((item) => !isDecided(this.head, item.seq));
    if (back.length > 0) this.waiting = [...back, ...this.waiting].toSorted((a, b) => a.seq - b.seq);
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
    if (this.frozen !== undefined) return this.frozenItems().items;
    const items = takeQueue(this.waiting);
    return items.slice(0, this.head.done.length < MAX_DONE_RANGES ? MAX_RECORD_MESSAGES : 1);
  }

  private frozenItems(): { items: InboxItem[]; complete: boolean } {
    const seqs = new Set(this.frozen?.seqs);
    const last = Math.max(...seqs);
    const items: InboxItem[] = [];
    // `waiting` is ascending: behind the last of the batch nothing of it follows, however long the backlog is.
    for (const item of this.waiting) {
      if (item.seq > last) break;
      if (seqs.has(item.seq)) items.push(item);
    }
    return { items, complete: items.length === seqs.size };
  }

  /** Ascending. What waits or is broken is undecided anyhow; of the batch a foreign record may have decided a part. */
  private undecided(): number[] {
    const inWork = [...this.broken, ...(this.batch?.items ?? [])]
      .map(({ seq }) => seq)
      .filter((seq) => !isDecided(this.head, seq))
      .toSorted((a, b) => a - b);
    const merged: number[] = [];
    let next = 0;
    for (const { seq } of this.waiting) {
      while (next < inWork.length && (inWork[next] as number) < seq) merged.push(inWork[next++] as number);
      merged.push(seq);
    }
    return [...merged, ...inWork.slice(next)];
  }
}
