import type { KeyWrite } from '#jetstream';
import type { TaskEntry } from './task-entry.js';

/** An entry, and the revision that a write over it has to expect. */
export interface StoredTask {
  /** `unreadable`: the key has a value that no guard has written. */
  readonly entry: TaskEntry | 'unreadable' | undefined;
  /** 0 = the key was never written, or nothing is left of it. */
  readonly revision: number;
}

export interface WriteOptions {
  /** The revision that it replaces; `conflict` when the current one is different. */
  readonly expected: number;
  /** For how long it is kept - ms; absent = until it is replaced. */
  readonly ttlMs?: number | undefined;
}

/**
 * Where tasks are stored. Revisions grow over all keys and are never reused, even after an entry is gone: they serve as
 * tokens.
 */
export interface TaskStore {
  /** The current entry, for certain. Rejects when the store does not answer. */
  read(key: string): Promise<StoredTask>;
  write(key: string, entry: TaskEntry, options: WriteOptions): Promise<KeyWrite>;
}
