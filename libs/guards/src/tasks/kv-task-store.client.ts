import { writeJsonObject, type Names } from '#contracts';
import type { KeyBucket, KeyWrite } from '#jetstream';
import { atRevision, parseTaskEntry, type TaskEntry } from './task-entry.js';
import type { StoredTask, TaskStore, WriteOptions } from './task-store.js';

/** Tasks in the broker's key-value bucket; every read asks the leader, since a decision rests on it. */
export class KvTaskStore implements TaskStore {
  constructor(
    private readonly bucket: Pick<KeyBucket, 'read' | 'write'>,
    private readonly names: Names,
  ) {}

  async read(key: string): Promise<StoredTask> {
    const found = await this.bucket.read(this.names.taskKey(key));
    if (found === undefined) return { entry: undefined, revision: 0 };
    const { value, revision } = found;
    if (value === undefined) return { entry: undefined, revision };
    const entry = parseTaskEntry(value);
    // An entry of another key was copied here: its token and its history do not belong to this task.
    return { entry: entry?.key === key ? atRevision(entry, revision) : 'unreadable', revision };
  }

  write(key: string, entry: TaskEntry, { expected, ttlMs }: WriteOptions): Promise<KeyWrite> {
    const time = ttlMs === undefined ? { expected } : { expected, ttlMs };
    return this.bucket.write(this.names.taskKey(key), writeJsonObject(entry), time);
  }
}
