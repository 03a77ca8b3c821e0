import type { Violation } from '../history.js';
import { at, type SessionHistory } from '../session-history.js';
import { isConcurrent, kindOf } from '../sessions.js';

/** What a handler replies that did not get its task. */
const CONFLICTS: ReadonlySet<string> = new Set(['already_running', 'approval_required']);

/**
 * L1: a turn that succeeded is one call of the agent, its own; its effects are there once. The agent names its call in the
 * reply and counts turns in the session's state, so a result that was lost, doubled or another's shows.
 */
export function checkResults({ session, records, calls }: SessionHistory): Violation[] {
  const found: Violation[] = [];
  const says = (text: string, time: number): void =>
    void found.push({ invariant: 'L1', says: text, session, at: time });
  const byNumber = new Map(calls.map((call) => [call.n, call]));
  let turns = 0;
  for (const line of records) {
    const { record } = line;
    if (record.kind === 'turn' && record.status === 'succeeded') {
      turns++;
      const text = record.sends[0]?.text ?? '';
      const n = Number(text.replace('call ', ''));
      const call = byNumber.get(n);
      const isHands = kindOf(session) === 'hands';
      // Its task was another's, and the agent was not called. What a former attempt did under its task is not done again.
      const isWithout = isHands && CONFLICTS.has(text);
      const isWrong = call?.runId !== record.runId || (call.attempt !== record.attempt && !isHands);
      if (isWrong && !isWithout) {
        says(
          `${at(line)} is attempt ${record.attempt} of ${record.runId}, and has the result of call ${n}: ` + of(call),
          line.at,
        );
      }
    }
    if (isConcurrent(session)) continue;
    const counted = (record.state?.value as { readonly turns: number } | undefined)?.turns ?? 0;
    if (counted !== turns)
      says(`${at(line)} is the session's turn ${turns}, and its state has counted ${counted}`, line.at);
    if (counted !== turns) return found;
  }
  return found;
}

function of(call: { readonly runId: string; readonly attempt: number } | undefined): string {
  return call === undefined ? 'none of this session' : `attempt ${call.attempt} of ${call.runId}`;
}
