/** So long after the last slow answer a broker counts as fast again. */
const CALM_MS = 10_000;

/**
 * How long an answer is awaited, as learned from answers that came late. What a dead leader was asked is never answered, so
 * short tries find the next one soon. But a broker that is slow, or far away, answers each try, too late: short tries alone
 * would never hear it. All times by one clock.
 *
 *   short --an answer came late, or nearly--> long: twice what it took, up to `longestMs`
 *   long  --a fast answer, `CALM_MS` after the last slow one--> short
 */
export class AnswerPatience {
  /** When what was given up was sent, by its number. */
  private readonly givenUp = new Map<number, number>();
  private slowAt = Number.NEGATIVE_INFINITY;
  private nowMs: number;

  constructor(
    private readonly leastMs: number,
    private readonly longestMs: number,
  ) {
    this.nowMs = leastMs;
  }

  get ms(): number {
    return this.nowMs;
  }

  gaveUp(serial: number, sentAt: number, now: number): void {
    // Most are lost, and never answered.
    for (const [other, since] of this.givenUp) if (now - since > 2 * this.longestMs) this.givenUp.delete(other);
    this.givenUp.set(serial, sentAt);
  }

  /** An answer to what was given up, perhaps. */
  heardLate(serial: number, now: number): void {
    const sentAt = this.givenUp.get(serial);
    if (sentAt === undefined) return;
    this.givenUp.delete(serial);
    this.heard(now - sentAt, now);
  }

  heard(tookMs: number, now: number): void {
    if (2 * tookMs > this.leastMs) {
      this.slowAt = now;
      this.nowMs = Math.max(this.nowMs, Math.min(this.longestMs, 2 * tookMs));
    } else if (now - this.slowAt > CALM_MS) this.nowMs = this.leastMs;
  }
}
