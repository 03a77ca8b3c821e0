import type { BrokerConnection, KeyBucket, KeyEntry, KeyWrite } from '#jetstream';

/** For specs: a key-value bucket in memory that loses requests and answers as the spec says. */
export class MemoryBucket {
  readonly entries = new Map<string, KeyEntry>();
  readonly writes: { readonly key: string; readonly expected: number; readonly ttlMs: number | undefined }[] = [];
  /** The fate of the next writes: `lost` before they arrive, or `unheard` after they were stored. */
  readonly faults: ('lost' | 'unheard' | 'none')[] = [];
  /** So many of the next reads fail. */
  readFaults = 0;
  /** Called before each write. */
  beforeWrite = (): void => {};
  private readonly listeners: { readonly pattern: string; readonly tell: (key: string, value: string) => void }[] = [];
  private revision = 0;

  get asBucket(): KeyBucket {
    return this as unknown as KeyBucket;
  }

  set(key: string, value: string | undefined): number {
    this.entries.set(key, { key, value, revision: ++this.revision });
    return this.revision;
  }

  tell(key: string, value: string): void {
    for (const { pattern, tell } of this.listeners) if (key.startsWith(pattern.slice(0, -1))) tell(key, value);
  }

  read(key: string): Promise<KeyEntry | undefined> {
    if (this.readFaults-- > 0) return Promise.reject(new Error('away'));
    return Promise.resolve(this.entries.get(key));
  }

  readMany(keys: readonly string[]): Promise<KeyEntry[]> {
    const isAsked = (key: string): boolean =>
      keys.some((asked) => (asked.endsWith('*') ? key.startsWith(asked.slice(0, -1)) : key === asked));
    const found = [...this.entries.values()].filter(({ key, value }) => value !== undefined && isAsked(key));
    return Promise.resolve(found);
  }

  async write(
    key: string,
    value: string,
    { expected, ttlMs }: { readonly expected: number; readonly ttlMs?: number },
  ): Promise<KeyWrite> {
    this.beforeWrite();
    this.writes.push({ key, expected, ttlMs });
    const fault = this.faults.shift() ?? 'none';
    if (fault === 'lost') return { kind: 'unclear' };
    if ((this.entries.get(key)?.revision ?? 0) !== expected) return { kind: 'conflict' };
    const revision = this.set(key, value);
    return fault === 'unheard' ? { kind: 'unclear' } : { kind: 'written', revision };
  }

  async remove(key: string, expected: number): Promise<KeyWrite> {
    if ((this.entries.get(key)?.revision ?? 0) !== expected) return { kind: 'conflict' };
    return { kind: 'written', revision: this.set(key, undefined) };
  }

  onWrite(pattern: string, tell: (key: string, value: string) => void): () => void {
    const listener = { pattern, tell };
    this.listeners.push(listener);
    return () => void this.listeners.splice(this.listeners.indexOf(listener), 1);
  }
}

/** A connection that is up when the spec says so. */
export class MemoryConnection {
  isClosed = false;
  up: Promise<void> = Promise.resolve();
  readonly nc = { isClosed: (): boolean => this.isClosed };

  get asConnection(): BrokerConnection {
    return this as unknown as BrokerConnection;
  }

  whenUp(): Promise<void> {
    return this.up;
  }
}
