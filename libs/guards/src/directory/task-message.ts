import { decodeUtf8, parseTaskKeyTokens } from '#contracts';
import { atRevision, parseTaskEntry, type TaskEntry } from '../tasks/task-entry.js';

/** A message of the tasks' bucket. `entry`: what stands under the key since; `undefined` = no task. */
export interface TaskMessage {
  readonly key: string;
  readonly entry: TaskEntry | undefined;
}

/** `undefined` for a subject that is no task's. `prefix`: what stands before the key in subjects of the bucket. */
export function readTaskMessage(
  prefix: string,
  { subject, seq, data }: { readonly subject: string; readonly seq: number; readonly data: Uint8Array },
): TaskMessage | undefined {
  const key = parseTaskKeyTokens(subject.slice(prefix.length).split('.'));
  if (key === undefined) return undefined;
  const entry = parseTaskEntry(decodeUtf8(data) ?? '');
  // What no guard has written, or was copied here from another key, is no task; who asks for it by its key is told so.
  return { key, entry: entry?.key === key ? atRevision(entry, seq) : undefined };
}
