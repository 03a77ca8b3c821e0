import type { TaskConflict } from '#contracts';
import type { TaskRefusal } from '#lanes';

/** Reply for a sender whose message did not get its task. The same reason always gives the same text. */
export function refusalOf(key: string, conflict: TaskConflict): TaskRefusal {
  if (conflict.kind === 'already_running') {
    const { runId, startedAt } = conflict;
    return {
      reason: conflict.kind,
      text: `This task is already running (since ${new Date(startedAt).toISOString()}).`,
      data: { task: key, result: conflict.kind, runId, startedAt },
    };
  }
  const { failedRunId, failedAt, attempts, approvalExpired } = conflict;
  return {
    reason: conflict.kind,
    text: `This task failed (at ${new Date(failedAt).toISOString()}) and does not run again before an operator approves it.`,
    data: {
      ...{ task: key, result: conflict.kind, failedRunId, failedAt, attempts },
      ...(approvalExpired === true ? { approvalExpired } : {}),
    },
  };
}
