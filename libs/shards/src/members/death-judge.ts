import type { Clock } from '#contracts';
import { memberIdOf } from './member.js';
import type { MemberStore } from '../shard-ports.js';

/**
 * Whether another process is dead. On a wrong answer its turns run a second time while their first call is in work (L8), so
 * what this process must have seen before it may say so is written here, and nowhere else.
 *
 *   unknown --its key is not there, by the leader--> absent: a renewal of our own is sent
 *   absent  --its key is there, or it was not looked for in a while--> unknown
 *   absent  --our connection was lost--> unknown
 *   absent  --its key is not there again, `APART_MS` later, and that renewal was answered--> dead, if one of these holds
 *
 *   a. It was silent for a whole time to live while our connection stood, and the bucket has answered us for as long as every
 *      live member needs to get a renewal through. Renewals are heard as they are published, whether a leader is there to
 *      store them or not: an election of the bucket's leader silences no live process, so this needs no more patience.
 *   b. The bucket has answered us for a whole time to live, so a key that was renewed would be there; and nothing was
 *      heard of it lately.
 *   c. It is heard of, but its key stays away for a whole time to live in which the bucket answered us: it is cut off from the
 *      leader alone, and has stopped beginning turns by its own clock (L4). Without an end to that its sessions wait for ever.
 *
 * Two absences: one leader may have been stopped, and go on with what it knew, before it hears of the next one. The renewal
 * between them was stored by more than half of the nodes.
 *
 * Another incarnation under its id is a proof by itself: a process ends before its successor begins. But not a former one, by
 * what was heard: that is what a leader knew which was stopped.
 */
export interface DeathJudgeOptions {
  readonly incarnation: string;
  readonly ttlMs: number;
  readonly members: Pick<MemberStore, 'standing'>;
  readonly membership: {
    readonly canJudge: boolean;
    readonly hasSettled: boolean;
    readonly gapMs: number;
    wasRenewedSince(monotonic: number): boolean;
    renewSoon(): void;
  };
  readonly view: { silentMs(incarnation: string): number };
  readonly clock: Pick<Clock, 'monotonic'>;
}

/** Between two absences: one answer of a leader that knows no better is over by then. */
export const APART_MS = 500;
/** Who is missed is looked for all the time, but a round over many that are missed takes its time at a slow broker. */
const LEAST_FORGET_MS = 3_000;

interface Absence {
  /** By the monotonic clock. */
  readonly since: number;
  lookedAt: number;
}

export class DeathJudge {
  /** Processes whose key was not there at the last look. */
  private readonly absences = new Map<string, Absence>();
  private breaks = 0;

  constructor(private readonly options: DeathJudgeOptions) {}

  /** Never rejects; false when it cannot be told now. Of one that is dead it says so at the second look at the earliest. */
  async isGone(incarnation: string): Promise<boolean> {
    const { members, membership, clock } = this.options;
    if (incarnation === this.options.incarnation) return false;
    const askedAt = clock.monotonic();
    const { breaks } = this;
    let standing: string | undefined;
    try {
      standing = await members.standing(memberIdOf(incarnation));
    } catch {
      return false;
    }
    if (standing !== undefined) {
      this.absences.delete(incarnation);
      return standing !== incarnation && !this.wasHeardAfter(incarnation, standing);
    }
    if (breaks !== this.breaks) return false;
    const absence = this.absences.get(incarnation);
    if (absence === undefined || this.isOld(absence)) {
      this.begin(incarnation);
      return false;
    }
    absence.lookedAt = askedAt;
    const absentMs = askedAt - absence.since;
    if (absentMs < APART_MS || !membership.wasRenewedSince(absence.since)) return false;
    return this.isProven(incarnation, absentMs);
  }

  /** The connection was lost: what was seen before it says nothing about the time behind it. */
  interrupt(): void {
    this.breaks++;
    this.absences.clear();
  }

  private begin(incarnation: string): void {
    const { membership, clock } = this.options;
    const now = clock.monotonic();
    // Lives come without end, and each is missed for a while.
    for (const [other, absence] of this.absences) if (this.isOld(absence)) this.absences.delete(other);
    this.absences.set(incarnation, { since: now, lookedAt: now });
    // Who cannot judge yet will have renewed by itself before it can.
    if (membership.hasSettled) membership.renewSoon();
  }

  private wasHeardAfter(incarnation: string, standing: string): boolean {
    const { ttlMs, view } = this.options;
    const silentMs = view.silentMs(incarnation);
    return silentMs < ttlMs && silentMs < view.silentMs(standing);
  }

  /** So long after a look its process may have come and gone. A key that came sooner would still be there. */
  private isOld({ lookedAt }: Absence): boolean {
    const { ttlMs, clock } = this.options;
    return clock.monotonic() - lookedAt >= Math.max(LEAST_FORGET_MS, ttlMs);
  }

  private isProven(incarnation: string, absentMs: number): boolean {
    const { ttlMs, membership, view } = this.options;
    const silentMs = view.silentMs(incarnation);
    if (silentMs >= ttlMs) return membership.hasSettled;
    return membership.canJudge && (silentMs >= membership.gapMs || absentMs >= ttlMs);
  }
}
