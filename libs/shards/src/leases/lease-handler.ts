import type { Logger } from '#telemetry';
import { MAX_OPEN, NEW_SHARD, withinBound, type Lease, type ShardProgress, type StoredLease } from './lease.js';
import type { LeaseStore, ShardWork } from '../shard-ports.js';
import type { DutyState } from '../keeper/shard-step.js';

/** One shard, as this process sees it. */
export interface Duty {
  readonly shard: number;
  state: DutyState;
  /** False from a lapse of the membership on, until the lease is written again. */
  isCertain: boolean;
  /** Grows with every lapse: a write that was sent before the last lapse proves nothing. */
  doubts: number;
  /** As we wrote it last. */
  lease?: StoredLease | undefined;
}

export interface LeaseHandlerOptions {
  readonly incarnation: string;
  readonly leases: LeaseStore;
  readonly work: ShardWork;
  readonly newWriteId: () => string;
  readonly log: Logger;
  /** Our lease is stored for the shard now. */
  readonly onWritten: (shard: number, stored: StoredLease) => void;
  /** Another member wrote the lease; `found` is what is stored now. */
  readonly onRefused: (shard: number, found: StoredLease | undefined) => void;
}

/**
 * The moves of one shard between the states of `shard-step`, each around one compare-and-set of its lease. The writes of one
 * lease go one after another, since each expects the revision of the one before.
 */
export class LeaseHandler {
  private readonly writing = new Map<number, Promise<unknown>>();
  private readonly moves = new Set<Promise<void>>();
  private lostShards = 0;

  constructor(private readonly options: LeaseHandlerOptions) {}

  /** Shards that another member took from us, since the start. */
  get lost(): number {
    return this.lostShards;
  }

  /** `found`: the lease as it was read, undefined = there is none. */
  acquire(duty: Duty, found: StoredLease | undefined, isCrash: boolean): void {
    duty.state = 'acquiring';
    duty.isCertain = true;
    this.follow(this.take(duty, found, isCrash));
  }

  release(duty: Duty): void {
    duty.state = 'releasing';
    this.follow(this.giveUp(duty));
  }

  /** Writes how far the shard is, when that has changed. */
  async refresh(duty: Duty): Promise<void> {
    const { lease } = duty;
    if (duty.state !== 'owned' || lease === undefined || this.writing.has(duty.shard)) return;
    const progress = await this.options.work.progress(duty.shard);
    if (progress === undefined || duty.state !== 'owned' || duty.lease !== lease) return;
    const bounded = withinBound(progress);
    if (isSame(bounded, lease.lease)) return;
    await this.rewrite(duty, bounded);
  }

  /** Writes the lease unchanged: when it is stored, the shard is certainly ours. */
  async confirm(duty: Duty): Promise<void> {
    if (duty.lease !== undefined) await this.rewrite(duty, duty.lease.lease);
  }

  /** Resolves when no shard is being acquired or released. */
  async whenQuiet(): Promise<void> {
    while (this.moves.size > 0) await Promise.all(this.moves);
  }

  private async take(duty: Duty, found: StoredLease | undefined, isCrash: boolean): Promise<void> {
    const { shard } = duty;
    const progress = found?.lease ?? NEW_SHARD;
    const outcome = await this.write(shard, this.makeLease(progress), found?.revision ?? 0);
    if (outcome === undefined) {
      duty.state = 'away';
      return;
    }
    duty.lease = outcome;
    duty.state = 'opening';
    this.options.log.debug({ shard, isCrash, read: progress.read, open: progress.open.length }, 'shard is ours');
    try {
      await this.options.work.open(shard, { ...progress, isCrash });
    } catch (error) {
      this.options.log.error({ shard, error: String(error) }, 'a shard cannot be opened');
      return this.giveBack(duty, progress);
    }
    if (duty.lease === undefined) {
      // Lost while it was opened: work that has started since is dropped as well.
      duty.state = 'away';
      return this.options.work.drop(shard);
    }
    duty.state = 'owned';
    // The membership lapsed in the meantime.
    if (!duty.isCertain) await this.confirm(duty);
  }

  private async giveBack(duty: Duty, progress: ShardProgress): Promise<void> {
    this.options.work.drop(duty.shard);
    await this.inOrder(duty.shard, async () => {
      if (duty.lease === undefined) return;
      await this.write(duty.shard, { ...this.makeLease(progress), owner: null }, duty.lease.revision);
    });
    duty.lease = undefined;
    duty.state = 'away';
  }

  private async giveUp(duty: Duty): Promise<void> {
    const { shard } = duty;
    const progress = withinBound(await this.options.work.release(shard, MAX_OPEN));
    const handoffs = progress.open.filter(({ holder }) => holder !== undefined).length;
    await this.inOrder(shard, async () => {
      // Lost in the meantime: its new owner gives it up.
      if (duty.lease === undefined) return;
      await this.write(shard, { ...this.makeLease(progress), owner: null }, duty.lease.revision);
      this.options.log.debug({ shard, read: progress.read, open: progress.open.length, handoffs }, 'shard given away');
    });
    duty.lease = undefined;
    duty.state = 'away';
  }

  private async rewrite(duty: Duty, progress: ShardProgress): Promise<void> {
    await this.inOrder(duty.shard, async () => {
      if (duty.lease === undefined || duty.state === 'releasing') return;
      const { doubts } = duty;
      const written = await this.write(duty.shard, this.makeLease(progress), duty.lease.revision);
      if (written === undefined) return this.lose(duty);
      duty.lease = written;
      if (duty.isCertain || doubts !== duty.doubts) return;
      duty.isCertain = true;
      this.options.work.resume(duty.shard);
    });
  }

  private lose(duty: Duty): void {
    this.lostShards++;
    this.options.log.debug({ shard: duty.shard }, 'shard lost: another member took it over');
    duty.lease = undefined;
    // A move that is under way ends first. Otherwise its end would end the work that starts again.
    if (duty.state === 'owned') duty.state = 'away';
    this.options.work.drop(duty.shard);
  }

  /** The stored lease, or `undefined` when another member wrote, or the process stops. */
  private async write(shard: number, lease: Lease, expected: number): Promise<StoredLease | undefined> {
    const outcome = await this.options.leases.write(shard, lease, expected);
    if (outcome.kind === 'written') {
      const stored = { revision: outcome.revision, lease };
      this.options.onWritten(shard, stored);
      return stored;
    }
    if (outcome.kind === 'conflict') this.options.onRefused(shard, outcome.found);
    return undefined;
  }

  private makeLease({ read, tail, open, crash, needs }: ShardProgress): Lease {
    const { newWriteId, incarnation } = this.options;
    return {
      v: 1,
      writeId: newWriteId(),
      owner: incarnation,
      read,
      tail,
      open: [...open],
      ...(crash === undefined ? {} : { crash }),
      ...(needs === undefined ? {} : { needs }),
    };
  }

  private async inOrder(shard: number, write: () => Promise<void>): Promise<void> {
    const before = this.writing.get(shard);
    const mine = (async () => {
      await before;
      await write();
    })();
    this.writing.set(shard, mine);
    await mine;
    if (this.writing.get(shard) === mine) this.writing.delete(shard);
  }

  private follow(move: Promise<void>): void {
    const ended = move.catch((error: unknown) => {
      // Only a bug gets here. Its shard stops; the process, and with it every other shard, goes on (L6).
      this.options.log.error({ error: String(error) }, 'a move of a shard crashed internally');
    });
    this.moves.add(ended);
    void ended.finally(() => this.moves.delete(ended));
  }
}

function isSame(a: ShardProgress, b: ShardProgress): boolean {
  const rest = ({ open, crash, needs }: ShardProgress): string => JSON.stringify([open, crash, needs]);
  return a.read === b.read && a.tail === b.tail && rest(a) === rest(b);
}
