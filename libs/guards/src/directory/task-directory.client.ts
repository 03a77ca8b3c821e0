import type { Names, TaskState, TaskView } from '#contracts';
import { bucketStream, type BucketStream, type StreamLookup } from '#jetstream';
import { asOf } from '../tasks/task-decisions.js';
import { isOpenTask, viewOf } from '../tasks/task-entry.js';
import { readTaskMessage } from './task-message.js';

export interface TaskQuery {
  readonly state?: TaskState | undefined;
  /** Only tasks that run or wait: succeeded and cancelled ones are not counted, however many there are. */
  readonly isOpen?: true;
  /** Only of this scope: `<agent>/<session>`, or a namespace. */
  readonly scope?: string | undefined;
  readonly limit: number;
  /** `next` of the page before; 0 = from the beginning. */
  readonly after: number;
}

/** Tasks, for people: as stored on the broker, so they may be a moment old. */
export class TaskDirectory {
  private readonly bucket: BucketStream;

  constructor(
    private readonly lookup: Pick<StreamLookup, 'messagesOf'>,
    private readonly names: Names,
  ) {
    this.bucket = bucketStream(names.tasksBucket);
  }

  /** In the order of their last change, the longest unchanged first. */
  async list(
    { state, isOpen, scope, limit, after }: TaskQuery,
    now: number,
  ): Promise<{ readonly tasks: TaskView[]; readonly next?: number }> {
    const tasks: TaskView[] = [];
    const keys = scope === undefined ? '>' : this.names.taskKeysOfScope(scope);
    const { stream, prefix } = this.bucket;
    for await (const stored of this.lookup.messagesOf(stream, prefix + keys, after + 1)) {
      const entry = readTaskMessage(prefix, stored)?.entry;
      const task = entry && viewOf(asOf(entry, now));
      const isAsked = task !== undefined && (state === undefined || task.state === state);
      if (isAsked && (isOpen === undefined || isOpenTask(task))) tasks.push(task);
      if (tasks.length === limit) return { tasks, next: stored.seq };
    }
    return { tasks };
  }
}
