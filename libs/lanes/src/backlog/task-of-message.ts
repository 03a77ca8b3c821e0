import type { StalePolicy } from '#contracts';

/** The task of a message, as its agent understands it. */
export interface TaskRef {
  readonly key: string;
  readonly ttlMs?: number;
  readonly stale?: StalePolicy;
  /** How many attempts its turn has until the task is failed and asks for an approval - default 1. */
  readonly maxAttempts?: number;
}

/** Why a message does not get its task, for its record and its sender. */
export interface TaskRefusal {
  /** `already_running`, `approval_required`, … */
  readonly reason: string;
  /** For people. */
  readonly text: string;
  readonly data: Readonly<Record<string, string | number | boolean>>;
}

/** The task is taken by a message that came before, and that is not decided yet. `running`: where its turn runs here. */
export function alreadyClaimed(
  key: string,
  running: { readonly runId: string; readonly startedAt: number } | undefined,
): TaskRefusal {
  const reason = 'already_running';
  const text = 'This task is already waiting or running.';
  return { reason, text, data: { task: key, result: reason, ...running } };
}
