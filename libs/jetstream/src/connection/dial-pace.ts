/**
 * When the client of the broker may dial a server again. The client itself uses the wall clock: when that is set back during
 * an outage, the client does not dial until the clock has caught up, and the process stays disconnected for all that time.
 * This class uses the monotonic clock, and controls the client through the wait that it returns.
 */
export class DialPace {
  /** When the last dials began, by the monotonic clock; as many as there are servers. */
  private dialledAt: number[] = [];
  private servers = 1;

  constructor(
    private readonly waitMs: number,
    private readonly jitterMs: number,
    private readonly monotonic: () => number,
    private readonly random: () => number,
  ) {}

  /**
   * How long the client has to wait, counted from its last dial of the server that it wants to dial now - ms. `-Infinity`
   * lets it dial at once: when every server has had its turn and the wait is over.
   */
  nextWaitMs(): number {
    const wait = this.waitMs + this.jitterMs * this.random();
    const [oldest] = this.dialledAt;
    const isDue = this.dialledAt.length < this.servers || oldest === undefined || this.monotonic() - oldest >= wait;
    return isDue ? Number.NEGATIVE_INFINITY : wait;
  }

  /** The client dials one of so many servers now. */
  dials(servers: number): void {
    this.servers = Math.max(1, servers);
    this.dialledAt = [...this.dialledAt, this.monotonic()].slice(-this.servers);
  }
}
