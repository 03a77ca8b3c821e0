import type { Clock } from '#contracts';
import type { FormerOwners } from '#lanes';

/** Each held lane asks once a second; so much later than without this its holder's end is known. */
const KEEP_MS = 500;

/**
 * Whether formerOwners are gone, asked of the broker's leader once for all lanes that wait for the same one.
 *
 * That a holder is there may be an old answer: who acts on it only waits on. That it is gone may not: a process that was
 * given up for dead can come back with the same incarnation, take shards and hold turns again, which an answer from before
 * that would give to somebody else (L1). So it is not kept, and counts only for who asked before it was looked for.
 */
export class FormerOwnerVerdicts {
  private readonly looks = new Map<string, Promise<boolean>>();
  private readonly seenAt = new Map<string, number>();

  constructor(
    private readonly look: FormerOwners['isGone'],
    private readonly clock: Pick<Clock, 'monotonic'>,
  ) {}

  /** Never rejects; false when it cannot be told now. */
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
    // Incarnations come without end, and are asked about for a while each.
    for (const other of [...this.seenAt.keys()]) if (!this.wasSeenLately(other)) this.seenAt.delete(other);
    this.seenAt.set(holder, this.clock.monotonic());
  }
}
