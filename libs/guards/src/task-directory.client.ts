import { parseTaskKeyTokens, type Names, type TaskState, type TaskView } from '#contracts';
import type { StoredMessage, StreamLookup } from '#jetstream';
import { asOf } from './task-decisions.js';
import { atRevision, isOpenTask, parseTaskEntry, viewOf } from './task-entry.js';

export interface TaskQuery {
  readonly state?: TaskState | undefined;
  /** Only those that run or wait for somebody: what ended well is not counted, however much of it there is. */
  readonly isOpen?: true;
  /** Only of this scope: `<agent>/<session>`, or a namespace. */
  readonly scope?: string | undefined;
  readonly limit: number;
  /** `next` of the page before; 0 = from the beginning. */
  readonly after: number;
}

/** Tasks, for people: read from the broker as they stand there, so they may be a moment old. */
export class TaskDirectory {
  private readonly stream: string;
  private readonly prefix: string;

  constructor(
    private readonly lookup: Pick<StreamLookup, 'messagesOf'>,
    private readonly names: Names,
  ) {
    this.stream = `KV_${names.tasksBucket}`;
    this.prefix = `$KV.${names.tasksBucket}.`;
  }

  /** In the order of their last change, the longest unchanged first. */
  async list(
    { state, isOpen, scope, limit, after }: TaskQuery,
    now: number,
  ): Promise<{ readonly tasks: TaskView[]; readonly next?: number }> {
    const tasks: TaskView[] = [];
    const keys = scope === undefined ? '>' : this.names.taskKeysOfScope(scope);
    for await (const stored of this.lookup.messagesOf(this.stream, this.prefix + keys, after + 1)) {
      const task = this.read(stored, now);
      const isAsked = task !== undefined && (state === undefined || task.state === state);
      if (isAsked && (isOpen === undefined || isOpenTask(task))) tasks.push(task);
      if (tasks.length === limit) return { tasks, next: stored.seq };
    }
    return { tasks };
  }

  private read({ subject, seq, data }: StoredMessage, now: number): TaskView | undefined {
    const entry = parseTaskEntry(Buffer.from(data).toString());
    // What no guard has written is no task; who asks for it by its key is told so.
    if (entry === undefined || parseTaskKeyTokens(subject.slice(this.prefix.length).split('.')) !== entry.key)
      return undefined;
    return viewOf(asOf(atRevision(entry, seq), now));
  }
}
