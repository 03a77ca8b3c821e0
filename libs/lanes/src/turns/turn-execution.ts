import type { Clock, JsonText, SessionTokens } from '#contracts';
import type { Batch } from '../turn-rules/batch.js';
import type { RecordStore, TurnRunner, TurnWork } from '../ports.js';
import type { TurnTimes } from '../records/record-draft.js';
import type { TurnOutcome } from '../turn-rules/settlement.js';
import type { TurnPolicy } from '../turn-rules/turn-policy.js';

/** A turn that lasts longer says that it began; a shorter one stays one write. */
const ANNOUNCE_AFTER_MS = 50;

export interface TurnExecutionOptions {
  readonly store: RecordStore;
  readonly turns: TurnRunner;
  readonly clock: Clock;
  readonly worker: string;
}

const nothing = (): void => {};

export interface ExecutedTurn {
  readonly outcome: TurnOutcome;
  readonly times: TurnTimes;
  /** The handler did not stop when it was asked to: it may still run, but its `Turn` is dead. */
  readonly isLeaked: boolean;
}

/**
 * One attempt of a turn.
 *
 *   running --handler ends--> over
 *   running --turnTimeoutMs--> stopping (signal aborted) --handler ends or abortGraceMs--> over, timed out
 *   running --cancel--> stopping, as above; over, cancelled
 *   running, stopping --abandon--> over; the outcome is discarded
 *
 * When it is over, `onOver` is called: whatever the handler still does with its `Turn` counts for nothing (L1, L6).
 */
export class TurnExecution implements TurnWork {
  readonly startedAt: number;
  readonly deadline: number;
  isAbandoned = false;
  private controller: AbortController | undefined;
  private reportOver: () => void = nothing;
  private cancelTimer = nothing;
  private done: (executed: ExecutedTurn) => void = nothing;
  private lateOutcome: TurnOutcome | undefined;
  private isOver = false;

  constructor(
    readonly key: SessionTokens,
    readonly batch: Batch,
    readonly state: JsonText | undefined,
    /** Sequence of the session's last record when it begins. */
    private readonly headSeq: number,
    private readonly policy: TurnPolicy,
    private readonly options: TurnExecutionOptions,
  ) {
    this.startedAt = options.clock.now();
    this.deadline = this.startedAt + policy.turnTimeoutMs;
  }

  /** Made when the handler asks for it: most short turns never look. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    return this.controller.signal;
  }

  /** The handler runs, or what it still does counts. */
  get isRunning(): boolean {
    return !this.isOver;
  }

  onOver(listener: () => void): void {
    this.reportOver = listener;
  }

  run(): Promise<ExecutedTurn> {
    return new Promise((resolve) => this.runTo(resolve));
  }

  /** As `run`; `done` is called once, and never before this has returned. */
  runTo(done: (executed: ExecutedTurn) => void): void {
    this.done = done;
    this.startTimer();
    outcomeOf(this.options.turns, this).then(
      // What comes back after the time was over does not count, however good it is.
      (outcome) => this.end(this.lateOutcome ?? outcome, false),
      // A runner that rejects all the same must not take the process, and every other lane, with it (L6).
      () => this.end(this.lateOutcome ?? RUNNER_FAILED, false),
    );
  }

  private end(outcome: TurnOutcome, isLeaked: boolean): void {
    if (this.isOver) return;
    this.isOver = true;
    this.cancelTimer();
    this.reportOver();
    const executed = { outcome, isLeaked, times: { startedAt: this.startedAt, endedAt: this.options.clock.now() } };
    // The caller of `abandon` and the timer are in the middle of something else.
    if (this.isAbandoned || isLeaked) queueMicrotask(() => this.done(executed));
    else this.done(executed);
  }

  /** A cancel order asked for it: the handler is told, and its result does not count. Safe to call twice. */
  cancel(seqs: readonly number[]): void {
    if (this.isOver || this.lateOutcome !== undefined) return;
    this.stopWith({ kind: 'cancelled', seqs }, new TurnCancelledError());
  }

  private onTimeout(): void {
    this.stopWith(this.timedOut(), new TurnTimeoutError(this.policy.turnTimeoutMs));
  }

  private stopWith(late: TurnOutcome, reason: Error): void {
    this.lateOutcome = late;
    this.cancelTimer();
    this.cancelTimer = this.options.clock.after(this.policy.abortGraceMs, () => this.end(late, true));
    this.stop(reason);
  }

  /** Another worker runs it again, or the worker stops: the handler is told, and its outcome is not recorded. */
  abandon(): void {
    this.isAbandoned = true;
    this.stop(new Error('this worker runs the turn no more'));
    this.end(this.timedOut(), false);
  }

  /** Ends it at once: what it does outside by then, and whether it still does, is not known. */
  cut(): void {
    if (this.isOver) return;
    this.lateOutcome = {
      kind: 'timed_out',
      error: { name: 'turn_cut', message: 'its worker stopped before it ended' },
    };
    this.stop(new Error('this worker stops'));
    queueMicrotask(() => this.end(this.lateOutcome ?? this.timedOut(), false));
  }

  private stop(reason: Error): void {
    this.controller ??= new AbortController();
    this.controller.abort(reason);
  }

  private timedOut(): TurnOutcome {
    const { turnTimeoutMs } = this.policy;
    const message = `the turn took longer than its ${turnTimeoutMs} ms (turnTimeoutMs)`;
    return { kind: 'timed_out', error: { name: 'turn_timeout', message } };
  }

  /** Announces the turn when that may be needed after a crash, and ends its time. One timer at a time: turns are many. */
  private startTimer(): void {
    const { turns, clock } = this.options;
    const { turnTimeoutMs } = this.policy;
    const isOutside = turns.runsOutside(this.key);
    if (isOutside) this.announce();
    if (isOutside || turnTimeoutMs <= ANNOUNCE_AFTER_MS) {
      this.cancelTimer = clock.after(turnTimeoutMs, () => this.onTimeout());
      return;
    }
    this.cancelTimer = clock.after(ANNOUNCE_AFTER_MS, () => {
      this.announce();
      this.cancelTimer = clock.after(turnTimeoutMs - ANNOUNCE_AFTER_MS, () => this.onTimeout());
    });
  }

  private announce(): void {
    const { store, worker } = this.options;
    const { runId, attempt, items, isConcurrent } = this.batch;
    const seqs = items.map(({ seq }) => seq);
    const { headSeq, startedAt: at } = this;
    store.announce(this.key, { type: 'turn-started', runId, attempt, seqs, headSeq, at, worker }, isConcurrent);
  }
}

/** The reason of an aborted `turn.signal` when the time was over. */
class TurnTimeoutError extends Error {
  override readonly name = 'TimeoutError';

  constructor(turnTimeoutMs: number) {
    super(`the turn's ${turnTimeoutMs} ms are over`);
  }
}

/** The reason of an aborted `turn.signal` when the turn was cancelled. */
class TurnCancelledError extends Error {
  override readonly name = 'TurnCancelledError';

  constructor() {
    super('the turn was cancelled');
  }
}

const RUNNER_FAILED: TurnOutcome = {
  kind: 'failed',
  error: {
    name: 'runner_failed',
    message: 'the turn came to no outcome: what its handler threw cannot be described',
  },
};

function outcomeOf(turns: TurnRunner, work: TurnWork): Promise<TurnOutcome> {
  try {
    return turns.run(work);
  } catch (error) {
    return Promise.reject(error as Error);
  }
}
