import { decodeUtf8, parseTaskKeyTokens } from '#contracts';
import { atRevision, parseTaskEntry, type TaskEntry } from '../tasks/task-entry.js';

/** A message of the tasks' bucket. `entry`: the value of the key since then; `undefined` = no task. */
export interface TaskMessage {
  readonly key: string;
  readonly entry: TaskEntry | undefined;
}

/** `undefined` for a subject that belongs to no task. `prefix`: the part before the key in subjects of the bucket. */
export function readTaskMessage(
  prefix: string,
  { subject, seq, data }: { readonly subject: string; readonly seq: number; readonly data: Uint8Array },
): TaskMessage | undefined {
  const key = parseTaskKeyTokens(subject.slice(prefix.length).split('.'));
  if (key === undefined) return undefined;
  const entry = parseTaskEntry(decodeUtf8(data) ?? '');
  // A value that no guard has written, or that was copied from another key, is not a task; a request for this key reports it.
  return { key, entry: entry?.key === key ? atRevision(entry, seq) : undefined };
}
