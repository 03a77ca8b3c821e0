import type { KeyWrite } from '#jetstream';
import type { TaskEntry } from './task-entry.js';
import type { StoredTask, TaskStore, WriteOptions } from './task-store.js';

/** The fault of a write: `unheard` = stored, but its answer is lost; `lost` = never stored. Of a read: `away` = no answer. */
export type StoreFault = 'unheard' | 'lost' | 'away';

export const AWAY = new Error('away');

/** For specs: the same store with lost requests and answers. */
export class FaultyStore implements TaskStore {
  /** The fault of the next write, and of the next read. */
  nextFault: (of: 'read' | 'write') => StoreFault | undefined = () => undefined;
  /** Called between a write whose answer is lost and what comes after it. */
  afterUnclear = (): Promise<void> => Promise.resolve();
  writes = 0;

  constructor(private readonly inner: TaskStore) {}

  async read(key: string): Promise<StoredTask> {
    if (this.nextFault('read') === 'away') throw AWAY;
    return this.inner.read(key);
  }

  async write(key: string, entry: TaskEntry, options: WriteOptions): Promise<KeyWrite> {
    this.writes++;
    const fault = this.nextFault('write');
    if (fault !== 'lost' && fault !== 'unheard') return this.inner.write(key, entry, options);
    if (fault === 'unheard') await this.inner.write(key, entry, options);
    await this.afterUnclear();
    return { kind: 'unclear' };
  }
}
