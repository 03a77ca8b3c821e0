import type { Violation } from '../history.js';
import { at, type SessionHistory } from '../session-history.js';

/**
 * L4: the records of a session are one chain, each written by somebody who knew the one before it; and what a record has
 * fenced writes no more.
 */
export function checkChain({ session, records }: SessionHistory): Violation[] {
  const found: Violation[] = [];
  const says = (text: string, time: number): void =>
    void found.push({ invariant: 'L4', says: text, session, at: time });
  let last = 0;
  let open: { readonly runId: string; readonly attempt: number } | null = null;
  for (const line of records) {
    if (line.expected !== last)
      says(`${at(line)} was written on ${line.expected}, and the session's last was ${last}`, line.at);
    const { record } = line;
    if (record.kind === 'turn' && open !== null) {
      const { runId, attempt }: { runId: string; attempt: number } = open;
      if (record.runId !== runId) says(`${at(line)} ends run ${record.runId} while ${runId} was in work`, line.at);
      else if (record.attempt !== attempt) {
        says(
          `${at(line)} is attempt ${record.attempt} of ${runId}, and the record before it had made way for ${attempt}`,
          line.at,
        );
      }
    }
    if (record.kind === 'note' && record.run !== null && open?.runId === record.run.runId) {
      if (record.run.attempt < open.attempt) says(`${at(line)} goes back to attempt ${record.run.attempt}`, line.at);
    }
    last = line.seq;
    open = record.run;
  }
  return found;
}
