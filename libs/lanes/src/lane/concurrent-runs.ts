import { makeRunId, type QueueSettings, type RunInWork, isDecided, MAX_DONE_RANGES } from '#contracts';
import type { Batch } from '../turn-rules/batch.js';
import type { InboxItem } from '../backlog/inbox-item.js';
import { mayHaveRun, runAfterCrash } from './after-crash.js';
import { firstWithinHoles } from './cursor-bound.js';
import { Run } from './lane-run.js';
import type { LaneView, RunView } from './lane-view.js';
import { MAX_SEQS_OF_RUNS, maxRunsInRecord, withinRecord } from '../turn-rules/record-bounds.js';
import { takeConcurrent } from '../turn-rules/take-batch.js';

/**
 * So many runs of a lane are in work at once, retries included, whatever the setting says: those that come again stand in
 * every record of the session.
 */
export const MAX_CONCURRENT_RUNS = 256;
/** With so many that come again nothing fresh begins: an agent that is away must not fill every record with them. */
const MAX_AGAIN = 64;

/** A run beside others: one message, or as many as a full queue makes of it. It is there once, for one batch. */
export class ConcurrentRun<L extends LaneView = LaneView> extends Run<L> {
  override get isConcurrent(): boolean {
    return true;
  }

  constructor(
    lane: L,
    private readonly runs: ConcurrentRuns<L>,
    readonly fresh: readonly InboxItem[] = [],
  ) {
    super(lane);
  }

  /**
   * Also of a retry that was only waiting when the former owner died: another run of the session may still be at work there,
   * and its record would take the place of this one's.
   */
  override prepareNote(): RunInWork | undefined {
    const { next, isCondemned, runs } = this;
    return super.prepareNote() ?? (next !== undefined && !isCondemned && runs.isUnfenced ? { ...next } : undefined);
  }

  override take(now: number): Batch {
    const batch = super.take(now);
    this.runs.add(this);
    return batch;
  }

  /** The turn is over: what is left of it in the head comes again as another run. */
  override end(): void {
    this.putBack();
    this.runs.remove(this);
  }

  protected override pick(): readonly InboxItem[] {
    const waiting = new Set(this.lane.backlog.waiting);
    return this.fresh.every((item) => waiting.has(item)) ? this.fresh : [];
  }

  protected override mayBeginFresh(): boolean {
    return this.pick().length > 0;
  }

  override freezeBegun(): void {
    // `ConcurrentRuns` has frozen what may have begun.
  }
}

/**
 * The runs of `concurrent` messages: beside each other, and beside the one that runs in turn. The first attempt of one is in
 * no head until it ends; those that come again are (`runs`), each with its own time, attempts and crashes.
 */
export class ConcurrentRuns<L extends LaneView = LaneView> {
  private all: ConcurrentRun<L>[] = [];
  /** Of messages up to here a dead owner may have begun runs that left no sign; so many of them were found by now. */
  private maybeBegun = { upTo: 0, found: 0 };
  private readonly incompleteRunIds = new Set<string>();
  /** A dead owner may still write: no record of ours stands since. */
  isUnfenced = false;

  /** Nothing has to be known of former ones to begin the next. */
  get isSpent(): boolean {
    return this.isEmpty && this.maybeBegun.upTo === 0 && this.incompleteRunIds.size === 0;
  }

  constructor(private readonly lane: L) {}

  get running(): readonly ConcurrentRun<L>[] {
    return this.all.filter(({ batch }) => batch !== undefined);
  }

  /** Those that come again, and wait for their time, a slot, or their messages. */
  get frozen(): readonly ConcurrentRun<L>[] {
    return this.all.filter(({ next }) => next !== undefined);
  }

  get isEmpty(): boolean {
    return this.all.length === 0;
  }

  get isIncomplete(): boolean {
    return this.all.some((run) => run.isIncomplete);
  }

  /** What comes behind runs that are parts of split batches. */
  get seqsOfParts(): readonly number[] {
    return this.all.flatMap(({ remainingParts }) => remainingParts.flat());
  }

  /** When next attempts are due, by the clock of the lanes. */
  retriesAt(now: number): readonly number[] {
    return this.all.flatMap((run) => run.dueAt(now) ?? []);
  }

  /** Fixes when next attempts are due, by the clock of the lanes. */
  fixDueTimes(now: number): void {
    for (const run of this.all) run.fixDueTime(now);
  }

  /**
   * Every run that may begin now, the frozen ones first. No fresh ones as long as `freezeBegun` has something to freeze (L4).
   */
  *startable(now: number): Iterable<ConcurrentRun<L>> {
    const { lane } = this;
    if (!lane.hasConcurrent || !lane.isOpen || lane.handoff !== undefined) return;
    for (const run of this.frozen) {
      if (!run.canTake(now) || !this.mayMakeHole(run.next?.seqs[0])) continue;
      const first = lane.backlog.itemsOf(run.next?.seqs ?? [])[0];
      if (first !== undefined && this.running.length < limitOf(first.queueing)) yield run;
    }
    if (this.unrecorded.length > 0 || this.isBegunUnfrozen) return;
    const fresh = this.freshItems();
    if (fresh.length > 0 && this.mayMakeHole(fresh[0]?.seq)) yield new ConcurrentRun(lane, this, fresh);
  }

  /** How many waiting messages may run now: they wait for nothing but a slot. */
  roomFor(queueing: QueueSettings): number {
    const running = this.running.length;
    const again = this.all.length - running;
    if (again >= MAX_AGAIN) return 0;
    return Math.max(0, Math.min(limitOf(queueing) - running, this.maxRuns - this.all.length));
  }

  /** Some message waits that could be a run. */
  get hasFresh(): boolean {
    return this.unclaimed.length > 0;
  }

  /** Those that a former owner may have begun, before a record says so: nothing fresh begins before that (L4). */
  get unrecorded(): readonly ConcurrentRun<L>[] {
    return this.all.filter(({ mustRecord, isCondemned }) => mustRecord && !isCondemned);
  }

  /** The run is in work: from here on it counts. */
  add(run: ConcurrentRun<L>): void {
    if (!this.all.includes(run)) this.all.push(run);
  }

  remove(run: ConcurrentRun<L>): void {
    this.all = this.all.filter((other) => other !== run);
    this.adoptHead();
  }

  /** A dead owner may have begun any of them, and as many more as may run beside each other with messages up to `upTo`. */
  assumeCrash(upTo: number, wallNow: number): void {
    const { head } = this.lane;
    this.all = (head.runs ?? []).map((run) => {
      const frozen = new ConcurrentRun(this.lane, this);
      const after = mayHaveRun(run, wallNow) ? runAfterCrash(run) : undefined;
      frozen.next = after?.run ?? { ...run };
      frozen.mustRecord = after?.hasCrashed ?? false;
      frozen.isCondemned = after?.isCondemned ?? false;
      return frozen;
    });
    this.maybeBegun = { upTo, found: 0 };
    this.isUnfenced = true;
  }

  /** The reader has handed over everything there was. */
  giveUpOnMissing(): void {
    this.maybeBegun.upTo = Math.min(this.maybeBegun.upTo, this.lane.backlog.lastSeq);
    for (const run of this.frozen) {
      if (!run.isIncomplete) continue;
      if (run.next !== undefined) this.incompleteRunIds.add(run.next.runId);
      if (run.mustRecord) this.maybeBegun.upTo = Math.max(this.maybeBegun.upTo, ...(run.next?.seqs ?? []));
      this.all = this.all.filter((other) => other !== run);
    }
  }

  /** Whether a dead owner may have begun a run with it. */
  mayHaveBegun(seq: number): boolean {
    return seq <= this.maybeBegun.upTo;
  }

  /** A record stands: what its head has of runs that come again. Those that still have to be recorded stay. */
  adoptHead(): void {
    const { head } = this.lane;
    if (this.all.length === 0 && head.runs === undefined) return;
    const isOpen = ({ seqs }: RunInWork): boolean => seqs.every((seq) => !isDecided(head, seq));
    const said = new Map((head.runs ?? []).map((run) => [run.runId, run]));
    const kept = this.all.filter(({ batch, next, mustRecord, isCondemned }) => {
      if (batch !== undefined) return true;
      if (next === undefined || !isOpen(next)) return false;
      const isRecorded = said.get(next.runId)?.attempt === next.attempt;
      return isCondemned || (mustRecord && !isRecorded);
    });
    const known = new Set(kept.map(({ batch, next }) => batch?.runId ?? next?.runId));
    for (const run of said.values()) {
      if (known.has(run.runId) || this.incompleteRunIds.has(run.runId) || !isOpen(run)) continue;
      const frozen = this.all.find(({ next }) => next?.runId === run.runId) ?? new ConcurrentRun(this.lane, this);
      frozen.next = { ...run };
      frozen.mustRecord = false;
      kept.push(frozen);
    }
    this.all = kept;
  }

  /** What a record says of them; `about` is the run that it is about, `content` what comes of it. */
  inRecord(about: RunView | undefined, content: RunInWork | undefined): RunInWork[] {
    return this.all.flatMap((run) => {
      if (run === about) return content ?? [];
      const inWork = run.attemptInWork ?? (run.batch === undefined ? run.next : undefined);
      return inWork === undefined || !comesAgain(inWork) ? [] : [inWork];
    });
  }

  /** One for each message that a dead owner may have begun without a sign, as far as they are here. */
  freezeBegun(): void {
    while (this.maybeBegun.upTo > 0) {
      const [first] = this.unclaimed;
      if (first === undefined || !this.mayHaveBegun(first.seq) || this.all.length >= this.maxRuns) return;
      if (this.maybeBegun.found >= limitOf(first.queueing)) {
        // More of them never ran beside each other.
        this.maybeBegun.upTo = 0;
        return;
      }
      const run = new ConcurrentRun(this.lane, this);
      run.next = { runId: makeRunId(this.lane.key, [first.seq]), seqs: [first.seq], attempt: 2, crashes: 1 };
      run.mustRecord = true;
      this.all.push(run);
      this.maybeBegun.found++;
    }
  }

  /** What waits first may have begun at a dead owner, and is not frozen yet. */
  private get isBegunUnfrozen(): boolean {
    if (this.maybeBegun.upTo === 0) return false;
    const [first] = this.unclaimed;
    return first !== undefined && this.mayHaveBegun(first.seq);
  }

  /** Also of those that are frozen after a crash: all of them come to stand in every record. */
  private get maxRuns(): number {
    return Math.min(MAX_CONCURRENT_RUNS, maxRunsInRecord(this.lane.id));
  }

  /** What the next fresh run would take. */
  private freshItems(): readonly InboxItem[] {
    const waiting = this.unclaimed;
    const [first] = waiting;
    const room = first === undefined ? 0 : this.roomFor(first.queueing);
    if (room === 0) return [];
    const items = withinRecord(takeConcurrent(waiting, room), Math.min(this.lane.maxBatch, this.roomForSeqs));
    return firstWithinHoles(this.lane, items);
  }

  /** How many messages a run more may have: those of all runs stand in every record once they come again. */
  private get roomForSeqs(): number {
    const count = this.all.reduce((sum, { batch, next }) => sum + (batch?.items ?? next?.seqs ?? []).length, 0);
    return Math.max(1, MAX_SEQS_OF_RUNS - count - this.seqsOfParts.length);
  }

  /** `concurrent` messages that wait and belong to no run yet. */
  private get unclaimed(): readonly InboxItem[] {
    const claimed = new Set(this.frozen.flatMap(({ next }) => next?.seqs ?? []));
    for (const seq of this.seqsOfParts) claimed.add(seq);
    return this.lane.concurrentWaiting.filter(({ seq }) => !claimed.has(seq));
  }

  /** At the bound of holes only what moves the cursor may be decided. */
  private mayMakeHole(firstSeq: number | undefined): boolean {
    return this.lane.head.done.length < MAX_DONE_RANGES || firstSeq === this.lane.undecidedFrom;
  }
}

/** A first attempt is known by its message: only what has a past has to stand in a record, and what was split. */
function comesAgain({ attempt, crashes, failures = 0, laterSince, rest }: RunInWork): boolean {
  return attempt > 1 || crashes > 0 || failures > 0 || laterSince !== undefined || rest !== undefined;
}

function limitOf({ maxConcurrent }: QueueSettings): number {
  return Math.min(maxConcurrent, MAX_CONCURRENT_RUNS);
}
