import type { TaskStep } from '#contracts';

/** What a caller who held a task knows of it. Orders are those of the caller's own process. */
export interface Holding {
  readonly key: string;
  readonly token: number;
  readonly runId: string;
  /** When its answer was there. */
  readonly from: number;
  /** When it was about to be given back. */
  readonly to: number;
  /** The history of the task while it was held. */
  readonly history: readonly TaskStep[];
}

/** What is wrong with the holdings of one key: two at the same time, or tokens that do not grow (G1, G4). */
export function overlaps(holdings: readonly Holding[]): string[] {
  const sorted = holdings.toSorted((a, b) => a.token - b.token);
  return sorted.slice(1).flatMap((next, i) => {
    const former = sorted[i] as Holding;
    const isAfter = next.token > former.token && next.from > former.to;
    return isAfter ? [] : [`${next.runId} (token ${next.token}) began before ${former.runId} (${former.token}) ended`];
  });
}

/** The whole past of a task, of which each view shows the last steps only. Each step has a run or a person of its own. */
export function wholeHistory(holdings: readonly Holding[]): TaskStep[] {
  const steps = new Map<string, TaskStep>();
  for (const { history } of holdings.toSorted((a, b) => a.token - b.token)) {
    for (const step of history) steps.set(JSON.stringify(step), step);
  }
  return [...steps.values()];
}

/** What may follow a step. A failure is followed by one approval, an approval by one holding (G2). */
const NEXT: Readonly<Record<string, readonly string[]>> = {
  begin: ['acquired'],
  acquired: ['failed', 'succeeded', 'interrupted'],
  failed: ['approved'],
  approved: ['acquired'],
  succeeded: ['acquired'],
  interrupted: ['acquired'],
};

/** What is wrong with the past of a task whose holders never die. */
export function wrongSteps(steps: readonly TaskStep[]): string[] {
  const names = ['begin', ...steps.map(({ what, status }) => (what === 'released' ? (status ?? '') : what))];
  return names.slice(1).flatMap((name, i) => {
    const former = names[i] ?? '';
    return NEXT[former]?.includes(name) === true ? [] : [`step ${i}: ${name} after ${former}`];
  });
}
