import type { Violation } from '../history.js';
import { at, type SessionHistory } from '../session-history.js';
import { isConcurrent } from '../sessions.js';

/**
 * L4: the records of a session are one chain, each written by a worker that knew the one before it; and what a record has
 * fenced writes no more.
 */
export function checkChain({ session, records }: SessionHistory): Violation[] {
  const found: Violation[] = [];
  const says = (text: string, time: number): void =>
    void found.push({ invariant: 'L4', says: text, session, at: time });
  let last = 0;
  /** Attempts by run. */
  let open = new Map<string, number>();
  for (const line of records) {
    if (line.expected !== last)
      says(`${at(line)} was written on ${line.expected}, and the session's last was ${last}`, line.at);
    const { record } = line;
    const runs = [record.run, ...(record.runs ?? [])].filter((run) => run !== null);
    if (record.kind === 'turn') {
      const wanted = open.get(record.runId);
      if (wanted === undefined && open.size > 0 && !isConcurrent(session)) {
        says(`${at(line)} ends run ${record.runId} while ${[...open.keys()].join()} was in work`, line.at);
      } else if (wanted !== undefined && record.attempt !== wanted) {
        says(
          `${at(line)} is attempt ${record.attempt} of ${record.runId}, and the record before it had made way for ${wanted}`,
          line.at,
        );
      }
    }
    for (const { runId, attempt } of runs) {
      if (attempt < (open.get(runId) ?? 0)) says(`${at(line)} goes back to attempt ${attempt} of ${runId}`, line.at);
    }
    last = line.seq;
    open = new Map(runs.map(({ runId, attempt }) => [runId, attempt]));
  }
  return found;
}
