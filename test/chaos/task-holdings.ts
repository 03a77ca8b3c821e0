import type { History, TaskLine } from './history.js';
import { MOST_TTL_MS } from './tasks.js';

/** From an acquire to whatever ended it. */
export interface Holding {
  readonly key: string;
  readonly runId: string;
  readonly from: number;
  /** Absent = it was never seen. */
  readonly token?: number;
  /** What happened to the task from then to its next holding. */
  readonly steps: readonly TaskLine[];
}

/** All of a run, by key and in their order. */
export type Holdings = ReadonlyMap<string, readonly Holding[]>;

/** Whether an operator took it away so lately that its holder may not have renewed it since, and does not know. */
export function isTakenAway({ steps }: Pick<Holding, 'steps'>, time: number, guardClocksMs: number): boolean {
  const at = steps.find(({ what }) => what === 'ended')?.at ?? Number.NEGATIVE_INFINITY;
  return at - guardClocksMs <= time && time - at <= MOST_TTL_MS + guardClocksMs;
}

const FAILURES: ReadonlySet<string | undefined> = new Set(['failed', 'timed_out', 'rejected']);

/** Whether a holding that ended so asks for an approval. */
export function isFailure(status: string | undefined): boolean {
  return FAILURES.has(status);
}

export function holdingsOf({
  tasks,
  calls,
  guardClocksMs,
}: Pick<History, 'tasks' | 'calls' | 'guardClocksMs'>): Holdings {
  const callsByKey = Map.groupBy(calls, ({ task }) => task?.key);
  const byKey = [...Map.groupBy(tasks, ({ key }) => key)].map(([key, lines]) => {
    const holdings: (Holding & { steps: TaskLine[] })[] = [];
    for (const line of lines) {
      const { what, at: from, runId = '', token } = line;
      if (what !== 'acquired') holdings.at(-1)?.steps.push(line);
      else holdings.push({ key, runId, from, steps: [], ...(token === undefined ? {} : { token }) });
    }
    return [key, withTokens(holdings, callsByKey.get(key) ?? [], guardClocksMs)] as const;
  });
  return new Map(byKey);
}

/** In an outage no guard told of a token; but the agent was, and the last holding of its run before the call is the one. */
function withTokens(holdings: readonly Holding[], calls: History['calls'], guardClocksMs: number): Holding[] {
  const found = [...holdings];
  const known = new Set(holdings.map(({ token }) => token));
  for (const { runId, task, startedAt } of calls.toSorted((a, b) => (b.task?.token ?? 0) - (a.task?.token ?? 0))) {
    if (task === undefined || known.has(task.token)) continue;
    const i = found.findLastIndex(
      (holding) => holding.token === undefined && holding.runId === runId && holding.from <= startedAt + guardClocksMs,
    );
    const holding = found[i];
    if (holding === undefined) continue;
    found[i] = { ...holding, token: task.token };
    known.add(task.token);
  }
  return found;
}
