import { type Head, type RunInWork, isDecided } from '#contracts';

/** What is known of a turn whose worker is gone, and what follows from it. */

/** What the last `turn-started` event of a session says. */
export interface CutTurn {
  readonly runId: string;
  readonly seqs: readonly number[];
  readonly attempt: number;
  /** Sequence of the session's last record when it began. */
  readonly headSeq: number;
}

/** From so many crashes on a batch runs in quarantine: alone among its kind. */
export const QUARANTINE_CRASHES = 2;

/** The run that the hint tells of, as far as the head does not know better. */
export function cutRun(cut: CutTurn | undefined, { run, ...head }: Head, headSeq: number): RunInWork | undefined {
  // A record behind the hint tells more than the hint: the attempt that it names has ended, or is counted there.
  if (cut === undefined || cut.headSeq !== headSeq || cut.seqs.some((seq) => isDecided(head, seq))) return undefined;
  if (run !== null) return run.runId === cut.runId ? run : undefined;
  return { runId: cut.runId, seqs: [...cut.seqs], attempt: cut.attempt, crashes: 0 };
}

export interface AfterCrash {
  readonly run: RunInWork;
  /** It may have been in work when its worker ended: a note has to say so. */
  readonly hasCrashed: boolean;
  readonly isCondemned: boolean;
}

/**
 * A retry whose time has not come was not running. Of one that lies further ahead than it was to wait the times come from
 * two clocks that differ: it may have been. `wallNow`: ms since the epoch, by our own.
 */
export function mayHaveRun({ notBefore = 0, waitMs = Number.POSITIVE_INFINITY }: RunInWork, wallNow: number): boolean {
  const leftMs = notBefore - wallNow;
  return leftMs <= 0 || leftMs > waitMs;
}

/**
 *   fewer than two crashes       -> one more, the next attempt
 *   two, not begun in quarantine -> as it was: it waits for its turn alone, and did not run
 *   begun in quarantine          -> condemned: it ran alone, so it is what took the worker down
 *
 * What it held is not carried on: it is not known whether the handler is gone too.
 */
export function runAfterCrash(begun: RunInWork): AfterCrash {
  const { notBefore: _past, waitMs: _over, tasks: _void, ...run } = begun;
  if (run.quarantined === true) return { run, hasCrashed: true, isCondemned: true };
  if (run.crashes >= QUARANTINE_CRASHES) return { run, hasCrashed: false, isCondemned: false };
  const next = { ...run, attempt: run.attempt + 1, crashes: run.crashes + 1 };
  return { run: next, hasCrashed: true, isCondemned: false };
}
