import type { Clock } from '#contracts';
import type { Logger } from '#telemetry';
import { DeathJudge } from '../members/death-judge.js';
import { LeaseHandler, type Duty } from '../leases/lease-handler.js';
import { LeaseView } from '../leases/lease-view.js';
import type { Lease, StoredLease } from '../leases/lease.js';
import { MemberView } from '../members/member-view.js';
import { Membership } from '../members/membership.js';
import { offerShards } from '../members/offers.js';
import type { LeaseStore, MemberStore, ShardWork } from '../shard-ports.js';
import { describeRewound, type SourceCheck } from '../leases/source-check.js';
import { nextStep, type ShardSituation } from './shard-step.js';

/**
 * Keeps this process' share of the shards: looks at which members are there and who owns what, and takes, keeps and gives
 * away shards until ownership matches the assignment. Every change that is heard of, and a steady beat, starts another round;
 * a round decides with `nextStep` alone, so the order of the events does not matter.
 */
export interface ShardKeeperOptions {
  readonly id: string;
  readonly incarnation: string;
  readonly shards: number;
  readonly ttlMs: number;
  readonly renewMs: number;
  readonly members: MemberStore;
  readonly leases: LeaseStore;
  readonly work: ShardWork;
  readonly clock: Clock;
  readonly newWriteId: () => string;
  readonly describe: () => Readonly<Record<string, unknown>>;
  /** The agents that this process has; absent = it takes shards whatever agents they need. */
  readonly agents?: () => readonly string[];
  /** What an operator has to do when the source was rewound. */
  readonly repair: string;
  /** Another process runs under our id: this one must stop. */
  readonly onReplaced: (by: string) => void;
  readonly log: Logger;
}

/** Changes that are heard of within this time start one round. */
const GATHER_MS = 5;
/** How soon to look again while we wait for an event that is not announced: a key that expires, a turn that ends. */
const LOOK_MS = 200;
/** We hear of a lease when it is published, a moment before it is stored: so we read again soon, up to three times. */
const LOOK_AGAIN_MS = [10, 20, 50];
/** The broker removes a key some milliseconds after its time to live. */
const EXPIRY_MS = 10;
/** How often progress is written into the leases. */
const REFRESH_MS = 3_000;
/** Writing all leases at once would delay the turns of that moment. */
const REFRESH_PARTS = 8;
/** We hear of leases as they are written; every so many beats we read them anyway. */
const BEATS_PER_READ = 5;

export class ShardKeeper {
  private readonly duties: readonly Duty[];
  private readonly handler: LeaseHandler;
  private readonly membership: Membership;
  private readonly view: MemberView;
  private readonly deaths: DeathJudge;
  private readonly leases: LeaseView;
  private readonly unwantedSince = new Map<number, number>();
  private readonly cancels = new Map<string, () => void>();
  private stopListening = (): void => {};
  private isDraining = false;
  private isClosed = false;
  private round: Promise<void> | undefined;
  private mustRepeat = false;
  private lookAgainMs: number[] = [];
  private beats = 0;
  private toldOwned = 0;
  private reportReady = (): void => {};

  constructor(private readonly options: ShardKeeperOptions) {
    const { shards, members, leases, work, ttlMs, clock } = options;
    this.duties = Array.from({ length: shards }, (_, shard): Duty => ({
      shard,
      state: 'away',
      isCertain: true,
      doubts: 0,
    }));
    this.handler = new LeaseHandler({
      ...options,
      onWritten: (shard, stored) => this.wrote(shard, stored),
      onRefused: (shard, found) => this.wasRefused(shard, found),
    });
    this.membership = new Membership({ ...options, store: members, onReturn: () => this.doubtAll() });
    this.leases = new LeaseView({
      ...{ store: leases, source: work },
      onSource: (check) => this.heardOfSource(check),
      onUnreadable: (shard, revision) => this.tellUnreadable(shard, revision),
    });
    this.view = new MemberView(
      members,
      ttlMs,
      clock,
      () => this.lookSoon(),
      (worker) =>
        options.log.warn({ worker }, 'the broker kept the key of a worker that no longer renews it: removing the key'),
    );
    this.deaths = new DeathJudge({ ...options, membership: this.membership, view: this.view });
  }

  /** Joins, and resolves when a first round was made on a source that was not rewound. */
  async start(): Promise<void> {
    const ready = new Promise<void>((resolve) => (this.reportReady = resolve));
    this.stopListening = this.options.leases.onWrite((shard, lease) => this.hear(shard, lease));
    // Before the join we are not told of breaks: the connection may have been down since we began to listen.
    this.view.returned();
    await this.membership.join();
    this.after('refresh', REFRESH_MS / REFRESH_PARTS, () => this.refresh(0));
    this.beat();
    await ready;
    await this.handler.whenQuiet();
  }

  /** Whether work of the shard may begin now (L4). */
  mayStart(shard: number): boolean {
    const duty = this.duties[shard];
    if (duty?.lease === undefined || (duty.state !== 'owned' && duty.state !== 'opening')) return false;
    return duty.isCertain && !this.isDraining && !this.leases.isSourceSetBack && this.membership.isStanding;
  }

  get owned(): number[] {
    return this.duties.filter(({ state }) => state !== 'away').map(({ shard }) => shard);
  }

  /** Whether a process is certainly gone. The first answer about a dead process is false: ask again while it matters. */
  isGone(incarnation: string): Promise<boolean> {
    return this.deaths.isGone(incarnation);
  }

  /** The connection was lost. */
  interrupt(): void {
    this.membership.interrupt();
    this.view.interrupt();
    this.deaths.interrupt();
  }

  /** The connection is back: the source may be another one, and everything may have changed. */
  returned(): void {
    this.view.returned();
    this.leases.forgetAll();
    this.lookSoon();
  }

  /** Gives every shard away; resolves when none is left. */
  async drain(): Promise<void> {
    this.isDraining = true;
    await this.membership.drain();
    do {
      for (const duty of this.duties) if (duty.state === 'owned') this.handler.release(duty);
      await this.handler.whenQuiet();
    } while (this.owned.length > 0);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const cancel of this.cancels.values()) cancel();
    this.stopListening();
    this.view.close();
    await this.membership.leave();
  }

  private beat(): void {
    if (this.isClosed) return;
    this.after('beat', this.options.renewMs, () => this.beat());
    if (this.beats++ % BEATS_PER_READ === 0) this.leases.expectNews();
    void this.look();
  }

  private refresh(part: number): void {
    this.after('refresh', REFRESH_MS / REFRESH_PARTS, () => this.refresh((part + 1) % REFRESH_PARTS));
    for (const duty of this.duties) if (duty.shard % REFRESH_PARTS === part) void this.handler.refresh(duty);
  }

  private hear(shard: number, lease: Lease): void {
    const duty = this.duties[shard];
    if (duty === undefined || this.isClosed) return;
    if (duty.state === 'away') {
      const known = this.leases.of(shard)?.lease;
      if (known?.owner === lease.owner && sameNeeds(known, lease)) return;
      this.leases.expectNews();
      this.lookAgainMs = [...LOOK_AGAIN_MS];
      this.lookSoon();
    } else if (lease.owner !== this.options.incarnation && lease.owner !== null) {
      // The broker may have refused it or not: our own next write tells.
      void this.handler.confirm(duty);
    }
  }

  /** While we were silent, others may have taken our shards: nothing begins until each lease is written again. */
  private doubtAll(): void {
    for (const duty of this.duties) {
      if (duty.state === 'away') continue;
      duty.isCertain = false;
      duty.doubts++;
      void this.handler.confirm(duty);
    }
    this.options.work.recheckHandoffs();
  }

  /** Most writes are progress, which does not change what any member has to do. */
  private wrote(shard: number, stored: StoredLease): void {
    const known = this.leases.of(shard)?.lease;
    this.leases.learn(shard, stored);
    if (known?.owner !== stored.lease.owner || !sameNeeds(known, stored.lease)) this.lookSoon();
  }

  /** The shard is not ours, or not yet. Even when its owner is the one we assumed, decide again what to do. */
  private wasRefused(shard: number, found: StoredLease | undefined): void {
    this.leases.learn(shard, found);
    // Removed, or not a lease: only a read can tell.
    if (found === undefined) this.leases.expectNews();
    this.lookSoon();
  }

  private lookSoon(): void {
    this.after('look', GATHER_MS, () => void this.look());
  }

  /** One round at a time; what changes during a round starts another one. */
  private look(): Promise<void> {
    this.mustRepeat = true;
    this.round ??= this.rounds().finally(() => {
      this.round = undefined;
    });
    return this.round;
  }

  private async rounds(): Promise<void> {
    while (this.mustRepeat && !this.isClosed) {
      this.mustRepeat = false;
      try {
        await this.makeRound();
      } catch (error) {
        // An outage, or one node is down. Sessions of a dead owner wait for this round, so do not wait for the next beat.
        this.options.log.debug({ error: String(error) }, 'cannot check the shards now');
        this.after('wait', LOOK_MS, () => void this.look());
        return;
      }
    }
  }

  private async makeRound(): Promise<void> {
    const { id, shards, agents } = this.options;
    const isMember = this.membership.isStanding;
    await this.view.refresh();
    if (this.membership.canJudge) await this.view.removeStale();
    await this.leases.refresh();
    const others = this.view.assignable.filter((member) => member.id !== id);
    const takers = this.isDraining ? others : [...others, { id, has: agents?.() }];
    const owners = offerShards(takers, shards, (shard) => this.leases.needsOf(shard));
    const judged = new Map<string, boolean>();
    let isWaiting = this.view.hasOverdue;
    for (const duty of this.duties) {
      const situation = this.situationOf(duty, owners, judged);
      let step = nextStep(situation);
      if (step === 'judge') {
        const owner = this.leases.ownerOf(duty.shard) as string;
        judged.set(owner, await this.isGone(owner));
        step = nextStep(this.situationOf(duty, owners, judged));
        if (step !== 'acquire') isWaiting = true;
      }
      if (step === 'acquire') this.handler.acquire(duty, this.leases.of(duty.shard), situation.owner !== 'none');
      if (step === 'release') this.handler.release(duty);
      if (step === 'nothing' && situation.state === 'owned' && !situation.isAssignedToUs) isWaiting = true;
      // Its owner is still there, or has just given it away: a missed notification must not leave it without an owner for long.
      if (step === 'nothing' && situation.state === 'away' && situation.isAssignedToUs) {
        this.leases.expectNews();
        isWaiting = true;
      }
    }
    this.tellOwned();
    if (isWaiting) this.after('wait', this.lookAgainMs.shift() ?? LOOK_MS, () => void this.look());
    // Not only at the next beat: the sessions of a dead owner wait for this round.
    const { overdueInMs } = this.view;
    if (overdueInMs > 0 && overdueInMs < this.options.renewMs) {
      this.after('overdue', overdueInMs + EXPIRY_MS, () => void this.look());
    }
    if (isMember && !this.leases.isSourceSetBack) this.reportReady();
  }

  private tellOwned(): void {
    const owned = this.duties.filter(({ state }) => state === 'owned').length;
    if (owned === this.toldOwned) return;
    this.toldOwned = owned;
    this.options.log.info({ owned, of: this.options.shards, lost: this.handler.lost }, 'shards of this process');
  }

  private situationOf(duty: Duty, owners: readonly string[], judged: ReadonlyMap<string, boolean>): ShardSituation {
    const { shard, state } = duty;
    const { id, work, clock } = this.options;
    const isAssignedToUs = owners[shard] === id;
    if (state !== 'owned' || isAssignedToUs) this.unwantedSince.delete(shard);
    else if (!this.unwantedSince.has(shard)) this.unwantedSince.set(shard, clock.monotonic());
    return {
      state,
      isAssignedToUs,
      hasAssignee: owners.length > 0,
      owner: this.leases.isUnreadable(shard) ? 'unknown' : this.judge(this.leases.ownerOf(shard), judged),
      isDraining: this.isDraining,
      mayAcquire: this.membership.isStanding && !this.leases.isSourceSetBack,
      running: state === 'owned' ? work.running(shard) : 0,
      unwantedMs: clock.monotonic() - (this.unwantedSince.get(shard) ?? clock.monotonic()),
    };
  }

  private judge(owner: string | null, judged: ReadonlyMap<string, boolean>): ShardSituation['owner'] {
    if (owner === null || owner === this.options.incarnation) return 'none';
    const isDead = judged.get(owner);
    if (isDead !== undefined) return isDead ? 'dead' : 'alive';
    return this.view.seems(owner) ? 'alive' : 'unsure';
  }

  private heardOfSource(check: SourceCheck): void {
    const { work, repair, log } = this.options;
    if (check.isRewound) {
      return log.error({ ...check }, `nothing begins. ${describeRewound('inbox', check)}: ${repair}`);
    }
    log.info({}, 'the source is complete again');
    for (const shard of this.owned) work.resume(shard);
  }

  private tellUnreadable(shard: number, revision: number): void {
    this.options.log.error(
      { shard, revision },
      `no session of shard ${shard} runs here: its key in the bucket of shards does not hold a lease that this ` +
        'version can read. Did a newer version write it? Then update this worker. Otherwise stop all workers, remove that key and ' +
        'start them again: the shard is then read again from the first message of the inbox',
    );
  }

  /** One timer per purpose; a later call replaces an earlier one. */
  private after(purpose: string, delayMs: number, fn: () => void): void {
    this.cancels.get(purpose)?.();
    if (this.isClosed) return;
    this.cancels.set(purpose, this.options.clock.after(delayMs, fn));
  }
}

/** Compares agents and their order only: how long messages have waited does not decide which worker gets the shard. */
function sameNeeds({ needs: one = [] }: Pick<Lease, 'needs'>, { needs: other = [] }: Pick<Lease, 'needs'>): boolean {
  return one.length === other.length && one.every(({ agent }, i) => agent === other[i]?.agent);
}
