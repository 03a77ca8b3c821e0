import type { Clock } from '#contracts';
import { assignable, type Member, type MemberValue } from './member.js';
import type { Taker } from './offers.js';
import type { MemberStore } from '../shard-ports.js';

/** More than a renewal may be late, plus what the broker needs to remove a key. */
const STALE_TTLS = 3;

/**
 * Which other members are there, as far as this process has heard: a picture to plan with. We hear renewals as they are
 * published, even when no leader is there to store them; a member that was silent for a whole time to live is looked for.
 *
 * A sign of life is certain. Silence proves something only while we listen: `silentMs` counts no time before the last break
 * of our connection, and is never a proof without an answer of the leader.
 */
export class MemberView {
  private members = new Map<string, Pick<Member, 'id' | 'value'>>();
  /** The last write that was read under each id, and since when it was the last one. */
  private lastWrites = new Map<string, { readonly revision: number; readonly since: number }>();
  private readonly heardAt = new Map<string, number>();
  /** By incarnation. Kept longer than its key, which an election of the bucket's leader may expire. */
  private readonly lifeSigns = new Map<string, number>();
  private listeningSince: number | undefined;
  private readonly stopListening: () => void;

  constructor(
    private readonly store: MemberStore,
    private readonly ttlMs: number,
    private readonly clock: Clock,
    /** A member came, left, drains, or restarted. */
    private readonly onChange: () => void,
    /** We remove a key that the broker should have removed. */
    private readonly onStale: (id: string) => void = () => {},
  ) {
    this.stopListening = store.onWrite((id, value) => this.hear(id, value));
    this.listeningSince = clock.monotonic();
  }

  /** The connection was lost: from now on we hear no process. */
  interrupt(): void {
    this.listeningSince = undefined;
  }

  /** The connection is back. */
  returned(): void {
    this.listeningSince = this.clock.monotonic();
  }

  /** For how long we heard nothing of a process, counting only the time in which we could hear it. */
  silentMs(incarnation: string): number {
    if (this.listeningSince === undefined) return 0;
    const heardAt = this.lifeSigns.get(incarnation) ?? this.listeningSince;
    return this.clock.monotonic() - Math.max(heardAt, this.listeningSince);
  }

  async refresh(): Promise<void> {
    const members = await this.store.readAll();
    this.members = new Map(members.map((member) => [member.id, member]));
    for (const id of [...this.heardAt.keys()]) if (!this.members.has(id)) this.heardAt.delete(id);
    for (const { id } of members) if (!this.heardAt.has(id)) this.heardAt.set(id, this.clock.monotonic());
    this.forgetSilent();
    this.lastWrites = new Map(
      members.flatMap(({ id, revision }) => {
        if (revision === undefined) return [];
        const known = this.lastWrites.get(id);
        return [[id, known?.revision === revision ? known : { revision, since: this.clock.monotonic() }] as const];
      }),
    );
  }

  /**
   * Removes keys that the broker should have removed: it may forget the times to live of what it stored (nats-server 2.15.1
   * after a full disk). A dead member whose key stays would be given shards for ever. Call this only when the bucket has
   * answered for a whole time to live: a live member has renewed its key by then.
   */
  async removeStale(): Promise<void> {
    const now = this.clock.monotonic();
    for (const [id, { revision, since }] of this.lastWrites) {
      if (now - since < STALE_TTLS * this.ttlMs || !this.members.has(id)) continue;
      this.onStale(id);
      await this.store.removeStale(id, revision);
      this.members.delete(id);
      this.heardAt.delete(id);
      this.lastWrites.delete(id);
    }
  }

  /** The members that take shards. */
  get assignable(): Taker[] {
    return assignable([...this.members.values()]);
  }

  /** Whether this incarnation was the last one seen under its id. */
  seems(incarnation: string): boolean {
    return [...this.members.values()].some(({ value }) => value.incarnation === incarnation);
  }

  /** How long until a member is overdue, if we do not hear of it before; Infinity without members. */
  get overdueInMs(): number {
    return Math.min(...this.heardAt.values()) + this.ttlMs - this.clock.monotonic();
  }

  /** We have not heard of some member for so long that the broker may have expired its key. */
  get hasOverdue(): boolean {
    return this.overdueInMs <= 0;
  }

  close(): void {
    this.stopListening();
  }

  private hear(id: string, value: MemberValue | undefined): void {
    const known = this.members.get(id)?.value;
    if (value === undefined) {
      this.members.delete(id);
      this.heardAt.delete(id);
    } else {
      this.members.set(id, { id, value });
      this.heardAt.set(id, this.clock.monotonic());
      this.lifeSigns.set(value.incarnation, this.clock.monotonic());
    }
    if (known?.incarnation !== value?.incarnation || known?.draining !== value?.draining) this.onChange();
    else if (known?.agents?.join() !== value?.agents?.join()) this.onChange();
  }

  /** There are always new incarnations. Without its entry one that was silent for long still counts as silent, for longer. */
  private forgetSilent(): void {
    const keepSince = this.clock.monotonic() - 2 * this.ttlMs;
    for (const [life, heardAt] of this.lifeSigns) if (heardAt < keepSince) this.lifeSigns.delete(life);
  }
}
