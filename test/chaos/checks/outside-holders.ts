import type { History, OutsideHolding, Violation } from '../history.js';
import { isTakenAway, type Holdings } from '../task-holdings.js';

/** Between two looks at a clock, on a busy machine. */
const SLACK_MS = 1_000;

/**
 * Of those who hold tasks over HTTP, by what they were answered. G1: no program is given a task at which another one still
 * works. G3: a holder that is gone blocks no other one for longer than its time, in seconds. G4: tokens grow, and an old one
 * can do nothing.
 */
export function checkOutsideHolders(history: History, holdings: Holdings): Violation[] {
  const { outside, outsideAnswers, guardClocksMs } = history;
  const found: Violation[] = [];
  const says = (invariant: Violation['invariant'], text: string): void => void found.push({ invariant, says: text });
  const apartMs = 2 * guardClocksMs;
  for (const [key, unsorted] of Map.groupBy(outside, (holding) => holding.key)) {
    const own = unsorted.toSorted((a, b) => a.from - b.from);
    own.forEach((holding, i) => {
      const next = own[i + 1];
      if (next === undefined) return;
      const workedMs = holding.to - apartMs - next.from;
      if (workedMs > 0 && !isEnded(holding, next.from, holdings, guardClocksMs)) {
        says('G1', `${key}: ${next.runId} got it ${workedMs} ms before ${holding.runId} had to stop`);
      }
      if (next.token <= holding.token)
        says('G4', `${key}: ${next.runId} got token ${next.token} after ${holding.token}`);
    });
  }
  const byRun = new Map(outside.map((holding) => [holding.runId, holding]));
  for (const { kind, key, runId, token, askedAt } of outsideAnswers) {
    const holding = byRun.get(runId);
    const until = (holding?.blocksUntil ?? Number.POSITIVE_INFINITY) + SLACK_MS + apartMs;
    if (kind === 'already_running' && askedAt > until) {
      says('G3', `${key}: ${runId} was still in the way ${askedAt - until} ms after the end of its time`);
    }
    const later = outside.find((other) => other.key === key && other.token > (token ?? 0) && other.from < askedAt);
    if (kind === 'renewed' && later !== undefined) {
      says('G4', `${key}: ${runId} renewed with token ${token} after ${later.runId} had got ${later.token}`);
    }
  }
  return found;
}

function isEnded(
  { key, token, runId }: OutsideHolding,
  time: number,
  holdings: Holdings,
  guardClocksMs: number,
): boolean {
  const own = holdings.get(key) ?? [];
  // One that an operator ended at once was never seen with its token; each outside program holds a task once under a run.
  const holding =
    own.find((one) => one.token === token) ?? own.find((one) => one.token === undefined && one.runId === runId);
  return holding !== undefined && isTakenAway(holding, time, guardClocksMs);
}
