import type { Clock } from '#contracts';
import type { Logger } from '#telemetry';
import type { MemberValue } from './member.js';
import type { MemberStore } from './shard-ports.js';
import { atMostElapsedMs, certainlyElapsedMs, momentOf, type Moment } from './stopwatch.js';

/**
 * The membership of this process: a key under its id that the broker forgets after `ttlMs`, so it is renewed all the time.
 *
 *   joining  --put-->                                     standing
 *   standing --renewed-->                                 standing
 *   standing --own clock: nearly `ttlMs` since the last renewal was sent--> lapsed: nothing may begin (L4)
 *   lapsed   --renewed-->                                 standing, after `onReturn`: others may have acted meanwhile
 *   standing, lapsed --another incarnation under our id--> replaced: the process ends
 *   any      --leave-->                                   gone: the key is removed
 *
 * `canJudge` is the other side of it: only who has itself stood for one whole `ttlMs` without a break may take another's
 * absence for its end. A broker outage that is longer makes every key expire at once, and whoever came back first would
 * otherwise take everybody else for dead and run every turn twice.
 */
export interface MembershipOptions {
  readonly id: string;
  readonly incarnation: string;
  readonly ttlMs: number;
  readonly renewMs: number;
  readonly store: MemberStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** What readers are told beside what the library needs. */
  readonly describe: () => Readonly<Record<string, unknown>>;
  /** The membership stands again after it lapsed; called before anything may begin. */
  readonly onReturn: () => void;
  /** Another process runs under our id. */
  readonly onReplaced: (by: string) => void;
}

/** The own end comes before the broker's: a turn that begins must have begun before anybody may take it over. */
const MARGIN_SHARE = 0.1;
const LEAST_MARGIN_MS = 200;
const RETRY_MS = 250;

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

  /** Whether turns may begin, by our own clocks. */
  get isStanding(): boolean {
    const { ttlMs, clock } = this.options;
    const marginMs = Math.max(LEAST_MARGIN_MS, ttlMs * MARGIN_SHARE);
    return !this.isOver && this.renewed !== undefined && atMostElapsedMs(this.renewed, clock) < ttlMs - marginMs;
  }

  /** Whether the absence of another may be taken for its end. */
  get canJudge(): boolean {
    const { ttlMs, clock } = this.options;
    return (
      this.isStanding && this.unbrokenSince !== undefined && certainlyElapsedMs(this.unbrokenSince, clock) >= ttlMs
    );
  }

  /** The connection was lost: what we did not hear of in the meantime is no proof of anything. */
  interrupt(): void {
    this.breaks++;
    this.unbrokenSince = undefined;
  }

  /** Tells everybody that this process takes no shards any more. */
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
      this.options.log.warn({}, 'the membership had lapsed: shards are looked at before anything begins');
      this.unbrokenSince = undefined;
      this.options.onReturn();
    }
    this.renewed = sent;
    // One that was sent before a break proves nothing about the time since.
    if (breaks === this.breaks) this.unbrokenSince ??= sent;
    return true;
  }

  private value(): MemberValue {
    const { incarnation, describe } = this.options;
    return { v: 1, ...describe(), incarnation, draining: this.isDraining };
  }

  private scheduleRenewal(delayMs: number): void {
    if (this.isOver) return;
    this.cancelTimer = this.options.clock.after(delayMs, () => {
      void this.renew(false).then((isDone) => {
        this.scheduleRenewal(isDone ? this.options.renewMs : Math.min(RETRY_MS, this.options.renewMs));
      });
    });
  }

  private pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.cancelTimer = this.options.clock.after(delayMs, resolve);
    });
  }
}
