import type { DeadLetter, SessionTokens, TurnStartedEvent, LoadedHead } from '#contracts';
import type { CutTurn, RecordStore, WriteOutcome } from '#lanes';
import type {
  Lease,
  LeaseStore,
  LeaseWrite,
  Member,
  MemberStore,
  MemberValue,
  MemberWrite,
  StoredLease,
} from '#shards';
import { NetworkError, type ModelHost } from './ownership-host.fixture.js';

/** For the model of ownership: a worker's stores at the broker, through a network that loses requests and answers. */

export class ModelMembers implements MemberStore {
  private revision = 0;

  constructor(private readonly host: ModelHost) {}

  readAll(): Promise<readonly Member[]> {
    return this.host.call(() => this.host.world.broker.allMembers);
  }

  standing(id: string): Promise<string | undefined> {
    return this.host.call(() => this.host.world.broker.member(id)?.value.incarnation);
  }

  async put(id: string, value: MemberValue, ttlMs: number, takesOver: boolean): Promise<MemberWrite> {
    const { broker } = this.host.world;
    const write = (): Promise<number> => this.host.call(() => broker.putMember(id, value, this.revision, ttlMs));
    try {
      const first = await write().catch(() => 0);
      if (first > 0) return { kind: 'written', revision: (this.revision = first) };
      const found = await this.host.call(() => broker.member(id));
      const by = found?.value.incarnation;
      if (by !== undefined && by !== value.incarnation && !takesOver) return { kind: 'replaced', by };
      this.revision = found?.revision ?? 0;
      const second = await write();
      return second > 0 ? { kind: 'written', revision: (this.revision = second) } : { kind: 'unclear' };
    } catch {
      return { kind: 'unclear' };
    }
  }

  /** The model's broker never forgets a time to live. */
  async removeStale(): Promise<void> {}

  async remove(id: string): Promise<void> {
    const { broker } = this.host.world;
    const incarnation = broker.member(id)?.value.incarnation ?? '';
    await this.host.call(() => broker.removeMember(id, incarnation)).catch(() => {});
  }

  onWrite(listener: (id: string, value: MemberValue | undefined) => void): () => void {
    const { memberHints } = this.host.world.broker;
    const hear = (id: string, value: MemberValue | undefined): void => this.host.hint(() => listener(id, value));
    memberHints.add(hear);
    return () => void memberHints.delete(hear);
  }
}

export class ModelLeases implements LeaseStore {
  constructor(private readonly host: ModelHost) {}

  readAll(): Promise<ReadonlyMap<number, StoredLease>> {
    return this.host.call(() => new Map(this.host.world.broker.leases));
  }

  async write(shard: number, lease: Lease, expected: number): Promise<LeaseWrite> {
    const { broker } = this.host.world;
    for (;;) {
      await this.host.whenUp();
      try {
        const revision = await this.host.call(() => broker.putLease(shard, lease, expected));
        if (revision > 0) return { kind: 'written', revision };
      } catch {
        // The outcome of the own write is unknown: look.
      }
      const found = await this.host.surely(() => broker.leases.get(shard));
      if (found?.lease.writeId === lease.writeId) return { kind: 'written', revision: found.revision };
      if ((found?.revision ?? 0) !== expected) return { kind: 'conflict', found };
      await this.host.pause(50);
    }
  }

  onWrite(listener: (shard: number, lease: Lease) => void): () => void {
    const { leaseHints } = this.host.world.broker;
    const hear = (shard: number, lease: Lease): void => this.host.hint(() => listener(shard, lease));
    leaseHints.add(hear);
    return () => void leaseHints.delete(hear);
  }
}

export class ModelStore implements RecordStore {
  /** As in the real store, answers of a replica that has not read this far do not count. */
  knownSeq = 0;

  constructor(private readonly host: ModelHost) {}

  async loadHead({ sessionToken }: SessionTokens): Promise<LoadedHead> {
    const { broker } = this.host.world;
    for (let tries = 0; ; tries++) {
      const needed = this.knownSeq;
      const read = await this.host.surely(() => {
        const upTo = tries < 3 ? broker.replicaSeq(this.host.world.nextLag()) : broker.lastRecordSeq;
        return { upTo, loaded: broker.head(sessionToken, upTo) };
      });
      if (read.upTo >= needed) return read.loaded;
    }
  }

  loadCutTurn({ sessionToken }: SessionTokens): Promise<CutTurn | undefined> {
    return this.host.surely(() => this.host.world.broker.lastEvent(sessionToken));
  }

  watchRecords({ sessionToken }: SessionTokens, onHint: () => void): () => void {
    const { recordHints } = this.host.world.broker;
    const hear = (session: string): void => {
      if (session === sessionToken) this.host.hint(onHint);
    };
    recordHints.add(hear);
    return () => void recordHints.delete(hear);
  }

  async write(
    { sessionToken }: SessionTokens,
    body: string,
    commitId: string,
    expected: number,
  ): Promise<WriteOutcome> {
    const { broker } = this.host.world;
    for (;;) {
      await this.host.whenUp();
      const seq = await this.host
        .call(() => broker.append(sessionToken, body, expected))
        .catch((error: unknown) => {
          if (error instanceof NetworkError) return 0;
          throw error;
        });
      const judged = seq > 0 ? undefined : await this.host.surely(() => broker.next(sessionToken, expected));
      if (seq > 0 || judged?.record.commitId === commitId) {
        const won = seq > 0 ? seq : (judged?.seq ?? 0);
        this.knownSeq = Math.max(this.knownSeq, won);
        return { kind: 'won', seq: won };
      }
      if (judged !== undefined) {
        this.knownSeq = Math.max(this.knownSeq, judged.seq);
        return { kind: 'lost', winner: await this.loadHead({ sessionToken, agentToken: 'main', shard: 0 }) };
      }
      await this.host.pause(20);
    }
  }

  bury(_key: SessionTokens, _letters: readonly DeadLetter[]): Promise<boolean> {
    return this.host.surely(() => true);
  }

  announce({ sessionToken }: SessionTokens, event: TurnStartedEvent, isConcurrent: boolean): void {
    if (isConcurrent) return;
    void this.host.call(() => this.host.world.broker.announce(sessionToken, event)).catch(() => {});
  }
}
