import { silentLogger, type Logger } from '#telemetry';
import type { Lease, ShardProgress, StoredLease } from './leases/lease.js';
import type { Member, MemberValue } from './members/member.js';
import type { LeaseStore, LeaseWrite, MemberStore, MemberWrite, ShardStart, ShardWork } from './shard-ports.js';

/** For specs: a broker and shard work that do nothing on their own, so that every order of events can be tried. */

/** A promise that the spec settles. */
export class Gate<T = void> {
  readonly promise: Promise<T>;
  pass!: (value: T) => void;
  fail!: (error: Error) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.pass = resolve;
      this.fail = reject;
    });
  }
}

/** Keeps the lines of the levels that people read. */
export class ListLogger implements Logger {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: object }[] = [];
  readonly debug = silentLogger.debug.bind(silentLogger);
  readonly info = (fields: object, message: string): void => this.keep('info', fields, message);
  readonly warn = (fields: object, message: string): void => this.keep('warn', fields, message);
  readonly error = (fields: object, message: string): void => this.keep('error', fields, message);

  child(): Logger {
    return this;
  }

  of(level: string): string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }

  private keep(level: string, fields: object, message: string): void {
    this.lines.push({ level, fields, message });
  }
}

export interface SentPut {
  readonly id: string;
  readonly value: MemberValue;
  readonly ttlMs: number;
  readonly takesOver: boolean;
  answer(outcome?: MemberWrite): void;
}

/** Members whose writes are answered by the spec, or at once by `auto`. */
export class ManualMembers implements MemberStore {
  readonly puts: SentPut[] = [];
  readonly removed: string[] = [];
  auto: MemberWrite | undefined;
  stored: readonly Member[] = [];
  private readonly listeners = new Set<(id: string, value: MemberValue | undefined) => void>();

  get last(): SentPut {
    const last = this.puts.at(-1);
    if (last === undefined) throw new Error('nothing was put');
    return last;
  }

  get isHeard(): boolean {
    return this.listeners.size > 0;
  }

  tell(id: string, value: MemberValue | undefined): void {
    for (const listener of this.listeners) listener(id, value);
  }

  readAll(): Promise<readonly Member[]> {
    return Promise.resolve(this.stored);
  }

  standing(id: string): Promise<string | undefined> {
    return Promise.resolve(this.stored.find((member) => member.id === id)?.value.incarnation);
  }

  put(id: string, value: MemberValue, ttlMs: number, takesOver: boolean): Promise<MemberWrite> {
    const gate = new Gate<MemberWrite>();
    const answer = (outcome: MemberWrite = { kind: 'written', revision: this.puts.length }): void => gate.pass(outcome);
    this.puts.push({ id, value, ttlMs, takesOver, answer });
    if (this.auto !== undefined) answer(this.auto);
    return gate.promise;
  }

  remove(id: string): Promise<void> {
    this.removed.push(id);
    return Promise.resolve();
  }

  removeStale(id: string, revision: number): Promise<void> {
    this.removed.push(`${id}@${revision}`);
    return Promise.resolve();
  }

  onWrite(listener: (id: string, value: MemberValue | undefined) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}

export interface SentLease {
  readonly shard: number;
  readonly lease: Lease;
  readonly expected: number;
  /** The write is stored; the answer is its revision. */
  stand(): number;
  conflict(found?: StoredLease): void;
  abandon(): void;
}

/** Leases whose writes are answered by the spec. */
export class ManualLeases implements LeaseStore {
  readonly writes: SentLease[] = [];
  private revision = 10;

  get last(): SentLease {
    const last = this.writes.at(-1);
    if (last === undefined) throw new Error('no lease was written');
    return last;
  }

  readAll(): Promise<ReadonlyMap<number, StoredLease>> {
    return Promise.resolve(new Map());
  }

  write(shard: number, lease: Lease, expected: number): Promise<LeaseWrite> {
    const gate = new Gate<LeaseWrite>();
    this.writes.push({
      ...{ shard, lease, expected },
      stand: () => {
        const revision = ++this.revision;
        gate.pass({ kind: 'written', revision });
        return revision;
      },
      conflict: (found) => gate.pass({ kind: 'conflict', found }),
      abandon: () => gate.pass({ kind: 'abandoned' }),
    });
    return gate.promise;
  }

  onWrite(): () => void {
    return () => {};
  }
}

/** The work of shards as a list of the calls it got. A gate that the spec sets delays the answers. */
export class ManualWork implements ShardWork {
  /** `open 3`, `resume 3`, `drop 3`, `release 3`, `recheckHandoffs`. */
  readonly calls: string[] = [];
  readonly starts = new Map<number, ShardStart>();
  readonly maxHandoffs: number[] = [];
  readonly busy = new Map<number, number>();
  readonly opening = new Map<number, Gate>();
  readonly releasing = new Map<number, Gate<ShardProgress>>();
  reached: ShardProgress | undefined = { read: 0, tail: 0, open: [] };
  asking: Gate<ShardProgress | undefined> | undefined;
  timesAsked = 0;
  highestRead = 0;
  sourceSeq = 0;
  beforeSource: () => Promise<void> = () => Promise.resolve();
  /** Shards whose work goes on. */
  readonly alive = new Set<number>();

  async open(shard: number, start: ShardStart): Promise<void> {
    this.calls.push(`open ${shard}`);
    this.starts.set(shard, start);
    await this.opening.get(shard)?.promise;
    this.alive.add(shard);
  }

  running(shard: number): number {
    return this.busy.get(shard) ?? 0;
  }

  progress(): Promise<ShardProgress | undefined> {
    this.timesAsked++;
    return this.asking?.promise ?? Promise.resolve(this.reached);
  }

  async release(shard: number, maxHandoffs: number): Promise<ShardProgress> {
    this.calls.push(`release ${shard}`);
    this.maxHandoffs.push(maxHandoffs);
    const gated = await this.releasing.get(shard)?.promise;
    this.alive.delete(shard);
    return gated ?? this.reached ?? { read: 0, tail: 0, open: [] };
  }

  drop(shard: number): void {
    this.calls.push(`drop ${shard}`);
    this.alive.delete(shard);
  }

  resume(shard: number): void {
    this.calls.push(`resume ${shard}`);
  }

  recheckHandoffs(): void {
    this.calls.push('recheckHandoffs');
  }

  async lastSourceSeq(): Promise<number> {
    await this.beforeSource();
    return this.sourceSeq;
  }
}
