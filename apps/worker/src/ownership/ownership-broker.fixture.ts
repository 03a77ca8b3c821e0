import {
  headOf,
  parseRecord,
  type SessionRecord,
  type TurnStartedEvent,
  type StrategyName,
  emptyHead,
  type LoadedHead,
} from '#contracts';
import type { Lease, MemberValue, StoredLease } from '#shards';

/** For the model of ownership: the broker's data in memory, with the rules that the protocol relies on. */

export interface ModelMessage {
  readonly seq: number;
  readonly session: string;
  /** Default: `main`. */
  readonly agent?: string;
  readonly shard: number;
  readonly route: string;
  readonly strategy?: StrategyName | undefined;
  readonly order?: 'all' | 'one' | undefined;
  readonly sequence?: number | undefined;
  /** When it was stored. */
  readonly at: number;
}

interface StoredRecord {
  readonly seq: number;
  readonly session: string;
  readonly at: number;
  readonly record: SessionRecord;
}

interface StoredMember {
  readonly value: MemberValue;
  readonly revision: number;
  readonly expiresAt: number;
  /** From then on it stood without a break. */
  readonly standsSince: number;
}

const CATCH_UP_MS = 3_000;

export class ModelBroker {
  isUp = true;
  readonly inbox: ModelMessage[] = [];
  readonly records: StoredRecord[] = [];
  readonly leases = new Map<number, StoredLease>();
  private readonly members = new Map<string, StoredMember>();
  private readonly lastOf = new Map<string, StoredRecord>();
  private readonly events = new Map<string, TurnStartedEvent>();
  private revision = 0;
  readonly memberHints = new Set<(id: string, value: MemberValue | undefined) => void>();
  readonly leaseHints = new Set<(shard: number, lease: Lease) => void>();
  readonly recordHints = new Set<(session: string) => void>();

  constructor(
    private readonly now: () => number,
    /** Called with every record before it is stored. Returns violations. */
    private readonly onRecord: (session: string, record: SessionRecord) => void,
  ) {}

  /** The member under an id. Expired keys are removed at once. */
  member(id: string): StoredMember | undefined {
    const found = this.members.get(id);
    return found !== undefined && found.expiresAt > this.now() ? found : undefined;
  }

  get allMembers(): { id: string; value: MemberValue }[] {
    return [...this.members.keys()].flatMap((id) => {
      const found = this.member(id);
      return found === undefined ? [] : [{ id, value: found.value }];
    });
  }

  /** The new revision, or 0 when the expected one was wrong. */
  putMember(id: string, value: MemberValue, expected: number, ttlMs: number): number {
    for (const hint of this.memberHints) hint(id, value);
    const former = this.member(id);
    if ((former?.revision ?? 0) !== expected) return 0;
    const revision = ++this.revision;
    const isRenewed = former?.value.incarnation === value.incarnation;
    const standsSince = isRenewed ? former.standsSince : this.now();
    this.members.set(id, { value, revision, expiresAt: this.now() + ttlMs, standsSince });
    return revision;
  }

  removeMember(id: string, incarnation: string): void {
    if (this.member(id)?.value.incarnation !== incarnation) return;
    this.members.delete(id);
    for (const hint of this.memberHints) hint(id, undefined);
  }

  putLease(shard: number, lease: Lease, expected: number): number {
    for (const hint of this.leaseHints) hint(shard, lease);
    if ((this.leases.get(shard)?.revision ?? 0) !== expected) return 0;
    const revision = ++this.revision;
    this.leases.set(shard, { revision, lease: structuredClone(lease) });
    return revision;
  }

  get lastRecordSeq(): number {
    return this.records.length;
  }

  /** Position of a replica that is this many records behind. It catches up sooner or later. */
  replicaSeq(lag: number): number {
    const last = this.records.at(-1);
    const isRecent = last !== undefined && this.now() - last.at < CATCH_UP_MS;
    return Math.max(0, this.records.length - (isRecent ? lag : 0));
  }

  /** The session's head on a replica that has read up to `upTo`. */
  head(session: string, upTo = Number.POSITIVE_INFINITY): LoadedHead {
    const last = this.lastOf.get(session);
    if (last === undefined) return toHead(undefined);
    if (last.seq <= upTo) return toHead(last);
    return toHead(this.records.slice(0, upTo).findLast((stored) => stored.session === session));
  }

  /** The sequence of the stored record, or 0 when the expected one was wrong. */
  append(session: string, body: string, expected: number): number {
    for (const hint of this.recordHints) hint(session);
    if ((this.lastOf.get(session)?.seq ?? 0) !== expected) return 0;
    const parsed = parseRecord(body);
    if (!parsed.ok) throw new Error(`unreadable record: ${parsed.problem}`);
    this.onRecord(session, parsed.record);
    const stored = { seq: this.records.length + 1, session, at: this.now(), record: parsed.record };
    this.records.push(stored);
    this.lastOf.set(session, stored);
    return stored.seq;
  }

  /** The record after the expected one. */
  next(session: string, expected: number): StoredRecord | undefined {
    return this.records.find((stored) => stored.session === session && stored.seq > expected);
  }

  announce(session: string, event: TurnStartedEvent): void {
    this.events.set(session, event);
  }

  lastEvent(session: string): TurnStartedEvent | undefined {
    return this.events.get(session);
  }
}

function toHead(stored: StoredRecord | undefined): LoadedHead {
  if (stored === undefined) return { head: emptyHead(), seq: 0, stateSeq: 0 };
  return { head: headOf(stored.record), seq: stored.seq, stateSeq: 0 };
}
