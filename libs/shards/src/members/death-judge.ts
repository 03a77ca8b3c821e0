import type { Clock } from '#contracts';
import { memberIdOf } from './member.js';
import type { MemberStore } from '../shard-ports.js';

/**
 * Whether another process is dead. After a wrong answer its turns run a second time while their first call is in work (L8).
 * So this file alone says what this process must have seen before it may give that answer.
 *
 *   unknown --the leader says that its key is not there--> absent: we send a renewal of our own
 *   absent  --its key is there, or it was not looked for in a while--> unknown
 *   absent  --our connection was lost--> unknown
 *   absent  --its key is still not there `APART_MS` later, and that renewal was answered--> dead, if one of these is true
 *
 *   a. It was silent for a whole time to live while our connection was up, and the bucket has answered us for as long as every
 *      live member needs to get a renewal through. We hear renewals as they are published, whether a leader is there to
 *      store them or not: an election of the bucket's leader does not silence a live process, so this needs no more patience.
 *   b. The bucket has answered us for a whole time to live, so a key that was renewed would be there; and we heard nothing of
 *      the process lately.
 *   c. We hear of it, but its key stays away for a whole time to live in which the bucket answered us: it is cut off from the
 *      leader alone, and its own clock has stopped it from beginning turns (L4). Without this case its sessions wait for ever.
 *
 * Why two absences: a leader may have been paused, and answers with old data before it learns of its successor. The renewal
 * between the two absences was stored by more than half of the nodes.
 *
 * Another incarnation under the same id is a proof by itself: a process ends before its successor begins. A former incarnation
 * (older than one we have heard of) is no proof: a paused leader may still answer with it.
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

/** Between two absences: by then a leader with old data has given its one wrong answer. */
export const APART_MS = 500;
/** An absent process is looked for all the time, but a round over many absent processes is slow at a slow broker. */
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

  /** Never rejects; false when it is not known now. A dead process is reported at the second look at the earliest. */
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

  /** The connection was lost: what was seen before says nothing about the time after. */
  interrupt(): void {
    this.breaks++;
    this.absences.clear();
  }

  private begin(incarnation: string): void {
    const { membership, clock } = this.options;
    const now = clock.monotonic();
    // There are always new incarnations, and each is absent for a while: without this the map grows.
    for (const [other, absence] of this.absences) if (this.isOld(absence)) this.absences.delete(other);
    this.absences.set(incarnation, { since: now, lookedAt: now });
    // A member that may not judge yet will have renewed on its own before it may.
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
