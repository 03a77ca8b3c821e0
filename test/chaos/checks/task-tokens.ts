import type { Call, History, Violation } from '../history.js';
import { wasJustStopped } from '../memberships.js';
import { isTakenAway, type Holding, type Holdings } from '../task-holdings.js';

/**
 * G4: tokens of a task grow with its holdings and with the calls under them; each is of one holding, so of one run, and of one
 * attempt of it (but where no guard could be asked, and it goes on all the same as that was chosen). A process
 * that was stopped between its acquire and its call may be late, and so may one whose task an operator took away before it
 * renewed: its token is what tells.
 */
export function checkTaskTokens({ calls, lives, inbox, guardClocksMs }: History, holdings: Holdings): Violation[] {
  const open = new Set(inbox.flatMap(({ seq, mayBeUnguarded }) => (mayBeUnguarded === true ? [seq] : [])));
  const byName = new Map(lives.map((life) => [life.name, life]));
  const isLate = ({ life, startedAt }: Call): boolean => {
    const process = byName.get(life);
    return process !== undefined && wasJustStopped(process, startedAt);
  };
  const found: Violation[] = [];
  for (const [key, own] of holdings) {
    let last = 0;
    for (const { token = last + 1, runId } of own) {
      if (token <= last) found.push({ invariant: 'G4', says: `${key}: ${runId} got token ${token} after ${last}` });
      last = Math.max(last, token);
    }
  }
  const guarded = calls.filter(({ task }) => task !== undefined).toSorted((a, b) => a.startedAt - b.startedAt);
  for (const [key, ofKey] of Map.groupBy(guarded, ({ task }) => task?.key ?? '')) {
    const byToken = new Map((holdings.get(key) ?? []).map((holding) => [holding.token, holding]));
    let greatest = 0;
    const firsts = new Map<number, Call>();
    for (const call of ofKey) {
      const first = firsts.get(call.task?.token ?? 0) ?? call;
      firsts.set(call.task?.token ?? 0, first);
      if (first.attempt !== call.attempt && !call.messages.some(({ seq }) => open.has(seq))) {
        const says = `${key}: call ${call.n} is attempt ${call.attempt}, and has the token of attempt ${first.attempt}`;
        found.push({ invariant: 'G4', says, session: call.session, at: call.startedAt });
      }
      const { n, session, startedAt, task: { token } = { token: 0 } } = call;
      const holding = byToken.get(token);
      const wrong = wrongWith(call, holding, guardClocksMs);
      if (wrong !== undefined) {
        found.push({ invariant: 'G4', says: `${key}: token ${token} of call ${n} ${wrong}`, session, at: startedAt });
      } else if (token < greatest && !isLate(call) && !(holding && isTakenAway(holding, startedAt, guardClocksMs))) {
        const says = `${key}: call ${n} has token ${token}, and ${greatest} was in use before`;
        found.push({ invariant: 'G4', says, session, at: startedAt });
      }
      greatest = Math.max(greatest, token);
    }
  }
  return found;
}

function wrongWith(
  { runId, startedAt }: Call,
  holding: Holding | undefined,
  guardClocksMs: number,
): string | undefined {
  if (holding === undefined) return 'is of no holding';
  if (holding.runId !== runId) return `is that of ${holding.runId}`;
  return holding.from > startedAt + guardClocksMs ? 'was given to it later' : undefined;
}
