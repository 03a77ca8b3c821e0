/**
 * When the client of the broker may dial a server again. The client itself asks the wall clock: when that is set back during an
 * outage, it waits until the clock is where it was before it dials again, and the process is away for all that time.
 * This asks the monotonic clock, and tells the client by the wait that it answers.
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
   * How long the client is to wait since it last dialled the server that it means to dial now - ms. Any time ago is enough
   * (`-Infinity`) when every server has had its turn and the wait is over.
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
