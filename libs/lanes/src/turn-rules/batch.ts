import {
  makeRunId,
  type Decision,
  type DescribedError,
  type HeldTask,
  type RunInWork,
  type SessionTokens,
  STRATEGY_TABLE,
} from '#contracts';
import type { InboxItem } from '../backlog/inbox-item.js';
import { summarizedIn } from './take-batch.js';
import type { TaskRef } from '../backlog/task-of-message.js';

/** The messages of one run: fixed at its first call, the same for every attempt (L7). */
export interface Batch {
  readonly runId: string;
  readonly attempt: number;
  readonly crashes: number;
  readonly failures: number;
  /** Since when it is put off by "later"; absent when its last attempt was a real one. */
  readonly laterSince?: number;
  /** Runs alone, since it may be what took two workers down. */
  readonly isQuarantined: boolean;
  /** It ended its worker while it ran alone: it does not run again, and ends dead. */
  readonly isCondemned: boolean;
  /** Other turns of the session run beside it (`concurrent`): it may merge into the state, and not set it. */
  readonly isConcurrent: boolean;
  readonly items: readonly InboxItem[];
  /** The lowest inbox sequence of it. */
  readonly lowestSeq: number;
  /** The first so many items were too much for the queue: the agent gets a summary of them beside their texts. */
  readonly summarized: number;
  /** The task that its message starts; such a message is alone in its batch. */
  readonly task?: TaskRef;
  /** The parts that come behind it, when it is a part of a split batch. */
  readonly rest?: RunInWork['rest'];
  /** Why its last attempt failed, as the note before it says. */
  readonly error?: DescribedError;
  /** What its former attempt held on to. Absent where the worker that ran it may still be at work. */
  readonly tasks?: readonly HeldTask[];
}

/** `frozen`: the run that these items belong to, when they ran before. */
export function makeBatch(
  key: SessionTokens,
  items: readonly InboxItem[],
  frozen: RunInWork | undefined,
  isCondemned: boolean,
  isConcurrent: boolean,
  wallNow: number,
): Batch {
  const task = items.find((item) => item.task !== undefined)?.task;
  return {
    runId:
      frozen?.runId ??
      makeRunId(
        key,
        items.map(({ seq }) => seq),
      ),
    attempt: frozen?.attempt ?? 1,
    crashes: frozen?.crashes ?? 0,
    failures: frozen?.failures ?? 0,
    isQuarantined: frozen?.quarantined === true,
    isCondemned,
    isConcurrent,
    ...(frozen?.laterSince === undefined ? {} : { laterSince: laterSinceAt(frozen.laterSince, frozen, wallNow) }),
    items,
    lowestSeq: Math.min(...items.map(({ seq }) => seq)),
    summarized: summarizedIn(items),
    ...(task === undefined ? {} : { task }),
    ...(frozen?.rest === undefined ? {} : { rest: frozen.rest }),
    ...(frozen?.error === undefined ? {} : { error: frozen.error }),
    ...(frozen?.tasks === undefined ? {} : { tasks: frozen.tasks }),
  };
}

/**
 * Since when it is put off, by our own clock: for as long as that was when it was due, by the clock of the worker that put
 * it off. What the two clocks differ by would be counted too, and so would an outage.
 */
function laterSinceAt(laterSince: number, { notBefore }: RunInWork, wallNow: number): number {
  return notBefore === undefined ? Math.min(laterSince, wallNow) : laterSince + wallNow - notBefore;
}

/**
 * The run of a batch, as a record keeps it. Without what it holds: while it is in work, and when it is handed back, its
 * handler may still go on with that.
 */
export function runOf({ runId, attempt, crashes, failures, laterSince, error, items, rest }: Batch): RunInWork {
  const run: RunInWork = { runId, seqs: items.map(({ seq }) => seq), attempt, crashes, failures };
  if (laterSince !== undefined) run.laterSince = laterSince;
  if (error !== undefined) run.error = error;
  if (rest !== undefined) run.rest = rest;
  return run;
}

/** As `runOf`, when its attempt was cut. */
export function nextAttempt(batch: Batch): RunInWork {
  return { ...runOf(batch), attempt: batch.attempt + 1 };
}

/**
 * What a turn that came to a good end decides about one of its messages: those that were passed as a summary, or as what
 * came before the latest, are told apart.
 */
export function decisionAfterSuccess({ items, summarized }: Batch, item: InboxItem): Decision {
  if (items.indexOf(item) < summarized) return 'skipped';
  const latest = items.at(-1);
  const isSuperseded = latest !== item && STRATEGY_TABLE[item.queueing.strategy].take === 'latest';
  return isSuperseded ? 'superseded' : 'handled';
}
