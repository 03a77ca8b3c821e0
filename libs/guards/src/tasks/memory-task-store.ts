import { writeJsonObject, type Clock } from '#contracts';
import type { KeyWrite } from '#jetstream';
import { atRevision, parseTaskEntry, type TaskEntry } from './task-entry.js';
import type { StoredTask, TaskStore, WriteOptions } from './task-store.js';

interface Kept {
  readonly text: string;
  readonly revision: number;
  readonly until: number;
}

/** Tasks in this process alone, with the same rules as on the broker: for specs and for models of many replicas. */
export class MemoryTaskStore implements TaskStore {
  private readonly kept = new Map<string, Kept>();
  private revision = 0;

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  async read(key: string): Promise<StoredTask> {
    const found = this.find(key);
    if (found === undefined) return { entry: undefined, revision: 0 };
    const entry = parseTaskEntry(found.text);
    return { entry: entry === undefined ? 'unreadable' : atRevision(entry, found.revision), revision: found.revision };
  }

  async write(key: string, entry: TaskEntry, { expected, ttlMs }: WriteOptions): Promise<KeyWrite> {
    if ((this.find(key)?.revision ?? 0) !== expected) return { kind: 'conflict' };
    this.revision++;
    const until = ttlMs === undefined ? Number.POSITIVE_INFINITY : this.clock.now() + ttlMs;
    this.kept.set(key, { text: writeJsonObject(entry), revision: this.revision, until });
    return { kind: 'written', revision: this.revision };
  }

  private find(key: string): Kept | undefined {
    const found = this.kept.get(key);
    if (found === undefined || found.until > this.clock.now()) return found;
    this.kept.delete(key);
    return undefined;
  }
}
