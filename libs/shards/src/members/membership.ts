import type { Clock } from '#contracts';
import type { Logger } from '#telemetry';
import type { MemberValue } from './member.js';
import type { MemberStore } from '../shard-ports.js';
import { atMostElapsedMs, certainlyElapsedMs, momentOf, type Moment } from '../stopwatch.js';

/**
 * The membership of this process: a key under its id that the broker expires after `ttlMs`, so it is renewed all the time.
 *
 *   joining  --put-->                                     standing
 *   standing --renewed-->                                 standing
 *   standing --own clock: nearly `ttlMs` since the last renewal was sent--> lapsed: nothing may begin (L4)
 *   lapsed   --renewed-->                                 standing, after `onReturn`: others may have acted meanwhile
 *   standing, lapsed --another incarnation under our id--> replaced: the process ends
 *   any      --leave-->                                   gone: the key is removed
 *
 * It also keeps what our own renewals say about the bucket, for the judgement of others (`DeathJudge`):
 *
 *   unbroken --answered in time--> unbroken
 *   unbroken --no renewal was answered for `gapMs`, or the connection was lost--> broken: no other member is judged
 *   broken   --answered--> unbroken, counted from that answer
 *
 * While the bucket has no leader no key can be renewed, and each of them may expire, also those of live members. A member that
 * judged then would take live members for dead and run their turns a second time (L8). Our own renewals go to the same leader,
 * so they notice: an outage that expires another member's key lasts longer than the gap that breaks our time.
 */
export interface MembershipOptions {
  readonly id: string;
  readonly incarnation: string;
  readonly ttlMs: number;
  readonly renewMs: number;
  readonly store: MemberStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** What the process says of itself besides what the library needs. */
  readonly describe: () => Readonly<Record<string, unknown>>;
  /** The agents that this process has; absent = it takes shards whatever agents they need. */
  readonly agents?: (() => readonly string[]) | undefined;
  /** The membership stands again after it lapsed; called before anything may begin. */
  readonly onReturn: () => void;
  /** Another process runs under our id. */
  readonly onReplaced: (by: string) => void;
}

/** Our membership ends before the broker expires it: a turn must begin before any other member may take it over. */
const MARGIN_SHARE = 0.1;
const LEAST_MARGIN_MS = 200;
const RETRY_MS = 250;
/** So many tries, each with its pause, bring the renewal of every live member through once the bucket answers. */
const TRIES_TO_SETTLE = 2;

/** How long one try of a renewal waits for its answer. A longer try would still wait when the bucket has long been back. */
export function renewalTryMs(renewMs: number): number {
  return Math.min(750, Math.max(500, renewMs / 2));
}

/** The longest wait of one try, for a broker that answers late: several of them fit into a time to live. */
export function longestTryMs(ttlMs: number, renewMs: number): number {
  return Math.max(renewalTryMs(renewMs), Math.min(5_000, ttlMs / 4));
}

export class Membership {
  private renewed: Moment | undefined;
  private unbrokenSince: Moment | undefined;
  private breaks = 0;
  private isDraining = false;
  private isOver = false;
  private cancelTimer = (): void => {};
  private renewing: Promise<boolean> | undefined;

  constructor(private readonly options: MembershipOptions) {}

  /** Resolves when the membership stands for the first time. */
  async join(): Promise<void> {
    while (!this.isOver && !(await this.renew(true))) await this.pause(RETRY_MS);
    this.scheduleRenewal(this.options.renewMs);
  }

  /** Another renewal now, after one that is in flight: what was sent before proves nothing about what was seen since. */
  renewSoon(): void {
    void Promise.resolve(this.renewing).then(() => this.scheduleRenewal(0));
  }

  /** Whether a renewal that was sent at that moment of the monotonic clock, or later, was answered. */
  wasRenewedSince(monotonic: number): boolean {
    return this.renewed !== undefined && this.renewed.monotonic >= monotonic;
  }

  /** Whether turns may begin, by our own clocks. */
  get isStanding(): boolean {
    const { ttlMs, clock } = this.options;
    const marginMs = Math.max(LEAST_MARGIN_MS, ttlMs * MARGIN_SHARE);
    return !this.isOver && this.renewed !== undefined && atMostElapsedMs(this.renewed, clock) < ttlMs - marginMs;
  }

  /** Whether the bucket has answered us for one whole time to live: then it would have kept every key that was renewed. */
  get canJudge(): boolean {
    return this.hasStoodFor(this.options.ttlMs);
  }

  /** Whether the bucket has answered us for so long that every live member has had its renewal through, too. */
  get hasSettled(): boolean {
    const { ttlMs, renewMs } = this.options;
    return this.hasStoodFor(Math.min(ttlMs, Math.max(renewMs, this.triesMs)));
  }

  /**
   * So long without an answer is a gap: twice the period of renewals, but at most half a time to live, so that no other key
   * expires unnoticed. And at least the time of two tries: with short periods one slow answer would be a gap, and no death
   * would ever be judged.
   */
  get gapMs(): number {
    const { ttlMs, renewMs } = this.options;
    return Math.min(Math.max(2 * renewMs, this.triesMs), ttlMs / 2);
  }

  private get triesMs(): number {
    return TRIES_TO_SETTLE * (renewalTryMs(this.options.renewMs) + RETRY_MS);
  }

  /** The connection was lost: what we did not hear in the meantime proves nothing. */
  interrupt(): void {
    this.breaks++;
    this.unbrokenSince = undefined;
  }

  /** Tells the other members that this process takes no shards any more. */
  async drain(): Promise<void> {
    this.isDraining = true;
    await this.renewing;
    await this.renew(false);
  }

  async leave(): Promise<void> {
    this.isOver = true;
    this.cancelTimer();
    await this.renewing;
    await this.options.store.remove(this.options.id);
  }

  private renew(takesOver: boolean): Promise<boolean> {
    this.renewing ??= this.put(takesOver).finally(() => {
      this.renewing = undefined;
    });
    return this.renewing;
  }

  private async put(takesOver: boolean): Promise<boolean> {
    const { store, id, ttlMs, clock } = this.options;
    const sent = momentOf(clock);
    const { breaks } = this;
    const outcome = await store.put(id, this.value(), ttlMs, takesOver);
    if (this.isOver) return true;
    if (outcome.kind === 'replaced') {
      this.isOver = true;
      this.options.onReplaced(outcome.by);
      return true;
    }
    if (outcome.kind === 'unclear') return false;
    if (this.renewed !== undefined && !this.isStanding) {
      this.options.log.warn({}, 'the membership had lapsed: every lease is written again before anything begins');
      this.options.onReturn();
    }
    if (this.hasGap) this.unbrokenSince = undefined;
    this.renewed = sent;
    // A renewal that was sent before a break proves nothing about the time since. The time counts from the answer, not the
    // sending.
    if (breaks === this.breaks) this.unbrokenSince ??= momentOf(clock);
    return true;
  }

  /** By the monotonic clock alone: a change of the wall clock neither makes a gap nor hides one. */
  private get hasGap(): boolean {
    return this.renewed === undefined || certainlyElapsedMs(this.renewed, this.options.clock) > this.gapMs;
  }

  private hasStoodFor(ms: number): boolean {
    if (!this.isStanding || this.hasGap || this.unbrokenSince === undefined) return false;
    return certainlyElapsedMs(this.unbrokenSince, this.options.clock) >= ms;
  }

  private value(): MemberValue {
    const { incarnation, describe, agents } = this.options;
    const offers = agents === undefined ? {} : { agents: [...agents()], takesOffers: true as const };
    return { v: 1, ...describe(), ...offers, incarnation, draining: this.isDraining };
  }

  private scheduleRenewal(delayMs: number): void {
    if (this.isOver) return;
    this.cancelTimer();
    const { clock, renewMs } = this.options;
    this.cancelTimer = clock.after(delayMs, () => {
      const sentAt = clock.monotonic();
      void this.renew(false).then((isDone) => {
        const restMs = Math.max(renewMs / 2, renewMs - (clock.monotonic() - sentAt));
        this.scheduleRenewal(isDone ? restMs : Math.min(RETRY_MS, renewMs));
      });
    });
  }

  private pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.cancelTimer = this.options.clock.after(delayMs, resolve);
    });
  }
}
