import { isDecided, isConcurrent } from '#contracts';
import type { InboxItem } from '../backlog/inbox-item.js';
import type { LaneView, RunView } from './lane-view.js';
import { TaskClaims } from './task-claims.js';
import { alreadyClaimed, type TaskRef, type TaskRefusal } from '../backlog/task-of-message.js';

/** A message that starts a task. */
export type TaskItem = InboxItem & { readonly task: TaskRef };

export function startsTask(item: InboxItem): item is TaskItem {
  return item.task !== undefined;
}

/**
 * The messages of a lane that start tasks, until they begin or are decided. Only lanes to which one came have it.
 *
 *   arrives --its task is claimed--> undeliverable (a note refuses it)
 *   arrives --else--> claims it, pending --look: it could run--> waits like any other
 *                                pending --look: refusal--> undeliverable
 *                                pending, waits --its turn comes--> in work
 *
 *   arrives --the turn of its task is ending--> pending until the record of that stands, then as above
 *
 * What is pending waits and may begin, but is counted nowhere: a trigger that is refused must not push a message out of
 * a full queue. Until the head is known it is not known which of them are decided: they are judged then (`adoptHead`).
 *
 * What may have begun is never refused here: its run goes on, and asks the guard itself.
 */
export class MessageTasks<R extends RunView = RunView> {
  private readonly claims = new TaskClaims();
  private unjudged: TaskItem[] = [];
  /** By sequence, as far as a refusal would need them. */
  private readonly pending = new Map<number, TaskItem>();
  private unasked: TaskItem[] = [];

  constructor(
    private readonly lane: LaneView<R>,
    /** The guard is asked about a task when its message comes. */
    private readonly isLooking: boolean,
    private readonly startOf: (run: R) => number | undefined,
  ) {}

  /** The message as the lane is to keep it; with a refusal it gets no turn. */
  admit(item: TaskItem): InboxItem {
    const left = remainsOf(item);
    if (!this.lane.isOpen || this.isEnding(left)) {
      this.unjudged.push(left);
      if (this.isLooking) this.pending.set(item.seq, left);
      return item;
    }
    const refusal = this.claim(left);
    return refusal === undefined ? item : { ...left, refusal };
  }

  /** How many wait without being counted. */
  get pendingCount(): number {
    return this.pending.size;
  }

  isPending(seq: number): boolean {
    return this.pending.has(seq);
  }

  /** A turn has taken them. */
  tookIntoTurn(items: readonly InboxItem[]): void {
    for (const { seq } of items) this.pending.delete(seq);
  }

  /** A record stands, or the head is known. */
  adoptHead(): void {
    for (const seq of this.pending.keys()) if (isDecided(this.lane.head, seq)) this.pending.delete(seq);
    if (this.lane.isOpen) this.judge();
  }

  /** Those to ask about; each once. */
  takeUnasked(): readonly TaskItem[] {
    if (this.unasked.length === 0) return this.unasked;
    const items = this.unasked;
    this.unasked = [];
    for (const item of items) if (this.mayHaveBegun(item)) this.pending.delete(item.seq);
    return items.filter(({ seq }) => this.pending.has(seq));
  }

  /** What was found; undefined = it may wait for its turn. */
  answer({ seq, task }: TaskItem, refusal: TaskRefusal | undefined): void {
    const item = this.pending.get(seq);
    if (item === undefined) return;
    this.pending.delete(seq);
    if (refusal === undefined || this.mayHaveBegun(item)) return;
    this.claims.set(task.key, { seq, refusal }, this.lane.head);
    this.lane.backlog.makeUndeliverable({ ...item, refusal });
  }

  private judge(): void {
    const { backlog, head } = this.lane;
    const items = this.unjudged;
    if (items.length === 0) return;
    this.unjudged = [];
    for (const item of items) {
      this.pending.delete(item.seq);
      if (isDecided(head, item.seq)) continue;
      const refusal = this.claim(item);
      if (refusal !== undefined) backlog.makeUndeliverable({ ...item, refusal });
    }
  }

  /**
   * The record that ends the turn of its task is on its way: a sender that hears of it from the broker sooner than this
   * process must not hear that it still runs.
   */
  private isEnding({ task }: TaskItem): boolean {
    const claim = this.claims.of(task.key, this.lane.head);
    return claim !== undefined && this.runOf(claim.seq)?.isEnding === true;
  }

  private claim(item: TaskItem): TaskRefusal | undefined {
    const { seq, task } = item;
    const { head } = this.lane;
    const claim = this.claims.of(task.key, head);
    if (claim !== undefined && !this.isFrozen(seq)) {
      return claim.refusal ?? alreadyClaimed(task.key, this.runningOf(claim.seq));
    }
    this.claims.set(task.key, { seq }, head);
    if (this.isLooking) {
      this.pending.set(seq, item);
      this.unasked.push(item);
    }
    return undefined;
  }

  private runningOf(seq: number): { runId: string; startedAt: number } | undefined {
    const run = this.runOf(seq);
    const startedAt = run === undefined ? undefined : this.startOf(run);
    return run?.batch === undefined || startedAt === undefined ? undefined : { runId: run.batch.runId, startedAt };
  }

  private runOf(seq: number): R | undefined {
    return this.lane.running.find(({ batch }) => batch?.items.some((item) => item.seq === seq) === true);
  }

  private mayHaveBegun({ seq, queueing }: TaskItem): boolean {
    const { serial, concurrent } = this.lane;
    if (this.isFrozen(seq)) return true;
    return isConcurrent(queueing.strategy) ? concurrent.mayHaveBegun(seq) : serial.claimedSeqs.includes(seq);
  }

  private isFrozen(seq: number): boolean {
    const { frozenRuns, head } = this.lane;
    const pendingRetries = frozenRuns.map(({ next }) => next);
    // While a turn runs here, what another's record says of the next one is not taken over yet.
    return [...pendingRetries, head.run, ...(head.runs ?? [])].some((run) => run?.seqs.includes(seq) === true);
  }
}

/** What is kept of a message that gets no turn: enough to answer its sender, and its number, so that no other waits for it. */
function remainsOf(item: TaskItem): TaskItem {
  if (!item.content.ok || item.content.message.kind !== 'message') return item;
  const { v, kind, id, thread, replyTo, sequence } = item.content.message;
  const message = {
    ...{ v, kind, id },
    ...(thread === undefined ? {} : { thread }),
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(sequence === undefined ? {} : { sequence }),
  };
  const bytes = Math.min(item.bytes, id.length + (thread?.length ?? 0) + (replyTo?.length ?? 0));
  return { ...item, bytes, content: { ok: true, message } };
}
