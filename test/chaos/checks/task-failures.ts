import type { Call, History, RecordLine, Violation } from '../history.js';
import { at } from '../session-history.js';
import { kindOf } from '../sessions.js';
import { isFailure, type Holding, type Holdings } from '../task-holdings.js';
import { isCareful, OPERATOR } from '../tasks.js';

/**
 * G2 by the records and the calls of the agent: a run that ended dead has failed its task, and no agent is called about that
 * task again before an operator allowed it. Where the guard was away for longer than the holding lasted, it is stale and
 * healed.
 */
export function checkTaskFailures(
  { inbox, records, calls, guardClocksMs }: Pick<History, 'inbox' | 'records' | 'calls' | 'guardClocksMs'>,
  holdings: Holdings,
): Violation[] {
  const keys = new Map(inbox.map(({ seq, task }) => [seq, task]));
  const byKey = Map.groupBy(calls, ({ task }) => task?.key);
  const found: Violation[] = [];
  for (const line of records) {
    const { record, session } = line;
    if (record.kind !== 'turn') continue;
    const dead = record.messages.find(({ decision }) => decision === 'dead');
    const key = keys.get(dead?.seq ?? 0);
    const holding = holdings.get(key ?? '')?.findLast(({ runId }) => runId === record.runId);
    if (key === undefined || holding === undefined || isHealed(holding)) continue;
    // A handler is done with its task before its turn ends: what ended dead then is the rest of the turn.
    if (kindOf(session) === 'hands' && isDone(holding)) continue;
    const freed = freedBy(holding);
    if (freed !== undefined) {
      found.push({ invariant: 'G2', says: `${at(line)} is dead, and its task was ${freed}`, session, at: line.at });
    }
    for (const call of byKey.get(key) ?? []) {
      if (!comesAfter(call, line, holding) || isAllowed(holding, call.startedAt + guardClocksMs)) continue;
      const says = `${key}: call ${call.n} of ${call.runId} began after ${at(line)} was dead, and no operator had allowed it`;
      found.push({ invariant: 'G2', says, session: call.session, at: call.startedAt });
    }
  }
  return found;
}

function isHealed({ key, steps }: Holding): boolean {
  return steps[0]?.what === 'stale' && !isCareful(key);
}

function isDone({ steps }: Holding): boolean {
  return steps.some(({ what, status }) => what === 'released' && status === 'succeeded');
}

/** How its own holder gave it back, if not as failed. */
function freedBy({ steps }: Holding): string | undefined {
  const end = steps.find(({ what }) => what === 'released' || what === 'ended');
  const isFreed = end !== undefined && end.by !== OPERATOR && !isFailure(end.status);
  return isFreed ? `${end.what} as ${end.status}` : undefined;
}

/** With a token of its own; what is late with an older one is about fencing. */
function comesAfter({ task, startedAt }: Call, line: RecordLine, { token = Number.POSITIVE_INFINITY }: Holding) {
  return (task?.token ?? 0) > token && startedAt > line.at;
}

function isAllowed({ steps }: Holding, time: number): boolean {
  return steps.some(
    ({ what, at: when, by }) => when <= time && (what === 'approved' || (what === 'ended' && by === OPERATOR)),
  );
}
