import type { Clock } from '#contracts';
import type { FormerOwners } from '#lanes';

/** Each lane in handoff asks once a second. A cached answer delays the news of a death by this much at most. */
const KEEP_MS = 500;

/**
 * Whether a former owner is gone. Asks the broker's leader once for all lanes that wait for the same former owner.
 *
 * "It is alive" may be an old answer: the lane only waits longer. "It is gone" may not be old. A process that was
 * judged dead can return with the same incarnation, take shards, and leave turns in handoff again. An answer from
 * before its return would let another worker start beside those turns (L1). So that answer is not cached, and it counts
 * only for callers that asked before the look began.
 */
export class FormerOwnerVerdicts {
  private readonly looks = new Map<string, Promise<boolean>>();
  private readonly seenAt = new Map<string, number>();

  constructor(
    private readonly look: FormerOwners['isGone'],
    private readonly clock: Pick<Clock, 'monotonic'>,
  ) {}

  /** Never rejects. `false` also means that the answer is not known now. */
  async isGone(holder: string): Promise<boolean> {
    if (this.wasSeenLately(holder)) return false;
    const begunBefore = this.looks.get(holder);
    if (begunBefore !== undefined && !(await begunBefore)) return false;
    return this.looks.get(holder) ?? this.beginLook(holder);
  }

  private beginLook(holder: string): Promise<boolean> {
    const look = this.lookNow(holder).finally(() => this.looks.delete(holder));
    this.looks.set(holder, look);
    return look;
  }

  private async lookNow(holder: string): Promise<boolean> {
    try {
      const isGone = await this.look(holder);
      if (!isGone) this.keepSeen(holder);
      return isGone;
    } catch {
      return false;
    }
  }

  private wasSeenLately(holder: string): boolean {
    const seenAt = this.seenAt.get(holder);
    return seenAt !== undefined && this.clock.monotonic() - seenAt < KEEP_MS;
  }

  private keepSeen(holder: string): void {
    // Remove old entries. New incarnations appear for ever, and lanes ask about each one only for a while.
    for (const other of [...this.seenAt.keys()]) if (!this.wasSeenLately(other)) this.seenAt.delete(other);
    this.seenAt.set(holder, this.clock.monotonic());
  }
}
