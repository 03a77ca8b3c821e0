import type { KeyWrite } from '#jetstream';
import type { TaskEntry } from './task-entry.js';

/** An entry and the revision that a write over it has to expect. */
export interface StoredTask {
  /** `unreadable`: something stands there that no guard has written. */
  readonly entry: TaskEntry | 'unreadable' | undefined;
  /** 0 = nothing was ever written there, or nothing is left of it. */
  readonly revision: number;
}

export interface WriteOptions {
  /** The revision that it replaces; another one there = `conflict`. */
  readonly expected: number;
  /** For how long it is kept - ms; absent = until it is replaced. */
  readonly ttlMs?: number | undefined;
}

/**
 * Where tasks stand. Revisions grow over all keys and are never used twice, also not after an entry is gone: tokens are made
 * of them.
 */
export interface TaskStore {
  /** What certainly stands there now. Rejects when nobody can say. */
  read(key: string): Promise<StoredTask>;
  write(key: string, entry: TaskEntry, options: WriteOptions): Promise<KeyWrite>;
}
