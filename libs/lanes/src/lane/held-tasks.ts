import type { Head, RunInWork } from '#contracts';
import type { LaneView } from './lane-view.js';

/**
 * Tasks that a run holds on to between its attempts stand in the note of the next one (`RunInWork.tasks`), so that it goes on
 * with the same holding, also in another process. Where the worker that wrote it may still be at work, they are dropped: a
 * zombie and its re-run must never hold one token (G1, G4).
 */
export function withoutHoldings(head: Head): Head {
  const { runs } = head;
  const run = head.run === null ? null : runWithoutHoldings(head.run);
  return { ...head, run, ...(runs === undefined ? {} : { runs: runs.map(runWithoutHoldings) }) };
}

function runWithoutHoldings({ tasks: _void, ...run }: RunInWork): RunInWork {
  return run;
}

const NONE: readonly RunInWork[] = [];

/**
 * Runs that waited with holdings in the head before this one, and whose messages a record has decided since: no worker runs
 * them.
 */
export function abandonedRuns(before: Head, lane: LaneView): readonly RunInWork[] {
  if (before.run?.tasks === undefined && before.runs === undefined) return NONE;
  const { head, running } = lane;
  const known = new Set([head.run, ...(head.runs ?? [])].map((run) => run?.runId));
  for (const { batch } of running) known.add(batch?.runId);
  return [before.run, ...(before.runs ?? [])].filter(
    (run): run is RunInWork => run?.tasks !== undefined && !known.has(run.runId),
  );
}
