import { probesDuringLongTurns } from './checks/others.js';
import { secondCalls } from './checks/second-calls.js';
import type { History } from './history.js';
import type { ChaosResult } from './run-chaos.js';
import { bySession } from './session-history.js';
import { isFailure } from './task-holdings.js';

/** What was tried, for people: a run that did not hurt proves nothing. */
export function summarize({ history, discarded, unavailable }: Omit<ChaosResult, 'violations'>): [string, string][] {
  const { accepted, inbox, records, calls, dead } = history;
  const turns = records.filter(({ record }) => record.kind === 'turn').length;
  const decisions = Map.groupBy(
    records.flatMap(({ record }) => record.messages),
    ({ decision }) => decision,
  );
  const count = (decision: 'handled' | 'dead' | 'cancelled' | 'refused'): number =>
    decisions.get(decision)?.length ?? 0;
  const runs = new Set(calls.map(({ runId }) => runId)).size;
  const probes = calls.filter(({ session }) => session.startsWith('probe')).length;
  return [
    ['faults', faultsByKind(history)],
    ['accepted', `${accepted.length}, of them ${accepted.filter(({ duplicate }) => duplicate).length} duplicates`],
    ['refused with 503', String(unavailable)],
    ['stored in the inbox', `${inbox.length} of ${new Set(inbox.map(({ session }) => session)).size} sessions`],
    ['records', `${turns} turns, ${records.length - turns} notes`],
    [
      'decided',
      `${count('handled')} handled, ${count('dead')} dead (${dead.length} kept), ${count('cancelled')} cancelled, ${count('refused')} refused`,
    ],
    ['calls of the agent', `${calls.length} for ${runs} runs: ${calls.length - runs} again`],
    ['messages that the agent got again', causesOf(history)],
    ['takeovers', `${takeovers(history)} sessions with a turn that was cut`],
    ['results of zombies refused', String(discarded)],
    ['tasks', tasksOf(history)],
    ['tasks over HTTP', outsideOf(history)],
    ['probes', `${probesDuringLongTurns(history)} of ${probes} asked and answered while a long turn ran`],
  ];
}

function outsideOf({ outside, outsideAnswers }: History): string {
  const count = (kind: 'already_running' | 'renewed'): number =>
    outsideAnswers.filter((answer) => answer.kind === kind).length;
  return `${outside.length} holdings, ${count('already_running')} times found in work, ${count('renewed')} renewed late`;
}

function tasksOf({ tasks, approvals }: History): string {
  const count = (is: (line: History['tasks'][number]) => boolean): number => tasks.filter(is).length;
  const failed = count(({ what, status }) => what === 'released' && isFailure(status));
  return (
    `${count(({ what }) => what === 'acquired')} holdings of ${new Set(tasks.map(({ key }) => key)).size} keys: ` +
    `${failed} failed, ${count(({ what }) => what === 'stale')} of holders that were gone; ` +
    `${count(({ what }) => what === 'approved')} approved (${approvals.length} answered), ` +
    `${count(({ what }) => what === 'ended')} released by operators`
  );
}

/** The last of them has to be 0 (L8). */
function causesOf(history: History): string {
  const causes = secondCalls(history, bySession(history)).map(({ cause }) => cause);
  const count = (wanted: (typeof causes)[number]): number => causes.filter((cause) => cause === wanted).length;
  return (
    `${count('failure')} after a failure, ${count('loss')} after the loss of their process, ` +
    `${count('cancel')} after a cancel beside them, ${count(undefined)} for no such reason`
  );
}

function faultsByKind({ faults }: History): string {
  const counts = [...Map.groupBy(faults, ({ kind }) => kind)].map(([kind, { length }]) => `${length} × ${kind}`);
  return `${faults.length}: ${counts.toSorted().join(', ')}`;
}

/** Notes that count one more crash than the record before them. */
function takeovers({ records }: History): number {
  let sum = 0;
  for (const lines of Map.groupBy(records, ({ session }) => session).values()) {
    lines.forEach(({ record }, i) => {
      const before = lines[i - 1]?.record.run;
      const known = before?.runId === record.run?.runId ? (before?.crashes ?? 0) : 0;
      if (record.kind === 'note' && (record.run?.crashes ?? 0) > known) sum++;
    });
  }
  return sum;
}
