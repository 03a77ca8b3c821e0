import Table from 'cli-table3';
import ms from 'ms';
import { TASK_STATES, type TaskCounts, type TaskStep, type TaskView } from '#contracts';
import { printable } from '../printable.js';

/** Tasks as text for operators. Times are by the clock of the guard, ages by the clock of this machine. */

export function tableOf(tasks: readonly TaskView[], now: number): string {
  const table = new Table({
    head: ['task', 'state', 'since', 'run', 'owner', 'what about it'],
    style: { head: [], border: [] },
    wordWrap: true,
    wrapOnWordBoundary: false,
    // A key is not wrapped: operators copy it into the other commands.
    colWidths: [null, null, null, 24, 20, 40],
  });
  for (const task of tasks) {
    const { key, state, runId, owner = '' } = task;
    table.push([key, state, ageOf(sinceOf(task), now), runId, owner, remarkOn(task, now)].map(printable));
  }
  return table.toString();
}

export function countsLine(counts: TaskCounts): string {
  const parts = TASK_STATES.flatMap((state) => (counts[state] === undefined ? [] : [`${counts[state]} ${state}`]));
  return parts.length === 0 ? 'in all: none runs, none waits' : `in all: ${parts.join(', ')}`;
}

export function describeTask(task: TaskView, now: number): string {
  const { key, state, runId, owner, token, status, error, attempts, staleCount, meta, result } = task;
  const times = (at: number): string => `${timeOf(at)} (${ageOf(at, now)})`;
  const lines: [name: string, value: string | undefined][] = [
    ['state', `${state} since ${times(sinceOf(task))}`],
    ['', remarkOn(task, now) || undefined],
    ['run', `${runId}, token ${token}`],
    ['owner', owner],
    ['started', times(task.startedAt)],
    ['expires', task.expiresAt === undefined ? undefined : times(task.expiresAt)],
    ['if stale', state === 'running' ? task.stale : undefined],
    ['ended', task.endedAt === undefined ? undefined : `${status} ${times(task.endedAt)}`],
    ['error', error && `${error.name}: ${error.message}`],
    ['approvable', task.approvableUntil === undefined ? undefined : `until ${times(task.approvableUntil)}`],
    ['approved', task.approvedAt === undefined ? undefined : `by ${task.approvedBy} ${times(task.approvedAt)}`],
    ['kept', task.keptUntil === undefined ? undefined : `until ${times(task.keptUntil)}, then it is free`],
    [
      'tries',
      `${attempts} since it last succeeded, its holder was gone ${staleCount === 1 ? 'once' : `${staleCount} times`} in all`,
    ],
    ['meta', meta === undefined ? undefined : JSON.stringify(meta)],
    ['result', result === undefined ? undefined : JSON.stringify(result)],
  ];
  const shown = lines.flatMap(([name, value]) => (value === undefined ? [] : [`  ${name.padEnd(12)}${value}`]));
  const past = task.history.map((step) => `  ${times(step.at)}  ${stepText(step)}`);
  return [key, ...shown, 'history', ...past].map(printable).join('\n');
}

/** Why it is in this state, or what it needs. */
function remarkOn({ state, stale, expiresAt = 0, error, approvedBy, approvableUntil }: TaskView, now: number): string {
  const reason = error === undefined ? '' : `: ${error.name}: ${error.message}`;
  const until = approvableUntil === undefined ? '' : `, which lapses ${ageOf(approvableUntil, now)}`;
  switch (state) {
    case 'running':
      return `expires ${ageOf(expiresAt, now)} unless renewed`;
    case 'stale':
      return stale === 'approve' ? `waits for approval${until}, its holder is gone` : 'free: its holder is gone';
    case 'failed':
      return `waits for approval${until}${reason}`;
    case 'approval_expired':
      return `not approved in time: release frees it${reason}`;
    case 'approved':
      return `free for one, by ${approvedBy}`;
    case 'succeeded':
    case 'cancelled':
      return '';
  }
}

/** When it came into its state. */
function sinceOf(task: TaskView): number {
  const { state, startedAt, endedAt = startedAt, approvedAt = endedAt, approvableUntil = endedAt } = task;
  if (state === 'running') return startedAt;
  if (state === 'approved') return approvedAt;
  return state === 'approval_expired' ? approvableUntil : endedAt;
}

function stepText({ what, runId, status, by }: TaskStep): string {
  return [what, status, by === undefined ? undefined : `by ${by}`, runId === undefined ? undefined : `run ${runId}`]
    .filter((part) => part !== undefined)
    .join('  ');
}

function timeOf(at: number): string {
  return new Date(at).toISOString();
}

function ageOf(at: number, now: number): string {
  return at > now ? `in ${ms(at - now)}` : `${ms(now - at)} ago`;
}
