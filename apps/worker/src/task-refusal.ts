import type { AcquireAnswer, TaskView } from '#contracts';
import type { TaskRefusal } from '#lanes';

type Conflict = Extract<AcquireAnswer, { readonly kind: 'already_running' | 'approval_required' }>;

/** What the sender of a message is told that did not get its task: the same for the same reason, whoever asks. */
export function refusalOf(key: string, conflict: Conflict): TaskRefusal {
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

/** The same for who only looks, as far as the task would be refused now. `undefined` = it may wait for its turn. */
export function refusalOfLook(view: TaskView | undefined): TaskRefusal | undefined {
  if (view === undefined) return undefined;
  const { key, state, runId, startedAt, attempts } = view;
  const { expiresAt = 0, endedAt = 0, error = { name: state, message: '' } } = view;
  switch (state) {
    case 'running':
      return refusalOf(key, { kind: 'already_running', runId, startedAt, expiresAt, own: false });
    case 'failed':
    case 'approval_expired':
      return refusalOf(key, {
        ...{ kind: 'approval_required', failedRunId: runId, failedAt: endedAt, error, attempts },
        ...(state === 'approval_expired' ? { approvalExpired: true as const } : {}),
      });
    case 'stale':
      return view.stale === 'heal'
        ? undefined
        : refusalOf(key, { kind: 'approval_required', failedRunId: runId, failedAt: endedAt, error, attempts });
    default:
      return undefined;
  }
}
