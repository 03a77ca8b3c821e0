/** So long after the last slow answer a broker counts as fast again. */
const CALM_MS = 10_000;

/**
 * How long to wait for an answer, learned from answers that came late. A dead leader never answers, so short tries find the
 * next leader soon. But a slow or distant broker answers each try, only too late: with short tries alone we would never get
 * its answer. All times are by one clock.
 *
 *   short --an answer came late, or nearly late--> long: twice what it took, up to `longestMs`
 *   long  --a fast answer, `CALM_MS` after the last slow one--> short
 */
export class AnswerPatience {
  /** When each request that we gave up was sent, by its number. */
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
    // Most of these requests were lost and are never answered.
    for (const [other, since] of this.givenUp) if (now - since > 2 * this.longestMs) this.givenUp.delete(other);
    this.givenUp.set(serial, sentAt);
  }

  /** An answer, perhaps to a request that we gave up. */
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
