import type { TaskConflict } from '#contracts';
import type { TaskRefusal } from '#lanes';

/** What the sender of a message is told that did not get its task: the same for the same reason, whoever asks. */
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
    text: `This task failed (at ${new Date(failedAt).toISOString()}) and does not run again before somebody approves it.`,
    data: {
      ...{ task: key, result: conflict.kind, failedRunId, failedAt, attempts },
      ...(approvalExpired === true ? { approvalExpired } : {}),
    },
  };
}
