import type { History, TaskLine, Violation } from '../history.js';
import { isFailure } from '../task-holdings.js';
import { isCareful } from '../tasks.js';

type State = 'free' | 'running' | 'waiting' | 'approved' | 'healable';

/**
 * G1 and G2 by the guard's own entries: what they say happened to a task may happen in this order, and in no other. What runs
 * may be acquired by its own run alone, for its next attempt. And an approval that an operator was told of is there.
 */
export function checkTaskSteps({
  tasks,
  approvals,
  guardClocksMs,
}: Pick<History, 'tasks' | 'approvals' | 'guardClocksMs'>): Violation[] {
  const found: Violation[] = [];
  for (const [key, lines] of Map.groupBy(tasks, (line) => line.key)) {
    let state: State = 'free';
    let last: TaskLine | undefined;
    let holder: string | undefined;
    for (const line of lines) {
      const isNextAttempt = line.what === 'acquired' && state === 'running' && line.runId === holder;
      const broken = isNextAttempt ? undefined : brokenBy(line, state);
      const after = last === undefined ? 'nothing' : describe(last);
      if (broken !== undefined) found.push({ invariant: broken, says: `${key}: ${describe(line)} after ${after}` });
      if (line.what === 'acquired' && last !== undefined && line.at < last.at - 2 * guardClocksMs) {
        found.push({ invariant: 'G1', says: `${key}: ${describe(line)} before ${after} was over` });
      }
      state = stateAfter(line, key);
      if (line.what === 'acquired') holder = line.runId;
      last = line;
    }
  }
  for (const { key, runId, at } of approvals) {
    if (tasks.some((line) => line.key === key && line.what === 'approved' && line.runId === runId)) continue;
    found.push({ invariant: 'G2', says: `${key}: the approval of ${runId} was answered at ${at}, and is not there` });
  }
  return found;
}

/** Which invariant a step breaks in that state. */
function brokenBy({ what }: TaskLine, state: State): 'G1' | 'G2' | undefined {
  switch (what) {
    case 'acquired':
      return state === 'running' ? 'G1' : state === 'waiting' ? 'G2' : undefined;
    case 'stale':
      return state === 'running' ? undefined : 'G1';
    case 'approved':
      return state === 'waiting' ? undefined : 'G2';
    case 'released':
      // Late, while no other had come in between.
      return state === 'running' || state === 'healable' || state === 'waiting' ? undefined : 'G1';
    default:
      return undefined;
  }
}

function stateAfter({ what, status }: TaskLine, key: string): State {
  switch (what) {
    case 'acquired':
      return 'running';
    case 'stale':
      return isCareful(key) ? 'waiting' : 'healable';
    case 'approved':
      return 'approved';
    case 'approval_expired':
      return 'waiting';
    default:
      return isFailure(status) ? 'waiting' : 'free';
  }
}

function describe({ what, status, runId, at, by }: TaskLine): string {
  return [what, status, 'of', runId, 'at', at, by && `by ${by}`].filter(Boolean).join(' ');
}
