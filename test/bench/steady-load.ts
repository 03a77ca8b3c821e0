import { names, type BenchBroker } from './bench-broker.js';
import { makeMessage } from './work.js';

export interface SteadyLoadOptions {
  readonly sessions: number;
  /** Each session gets a message so often. */
  readonly everyMs: number;
}

const TICK_MS = 2;

/**
 * Messages at a fixed rate, evenly over the sessions, whatever becomes of them: who waits for the answer of one before it
 * sends the next does not see most of a stall.
 */
export class SteadyLoad implements AsyncDisposable {
  private readonly startedAt = performance.now();
  private readonly timer = setInterval(() => this.send(), TICK_MS);
  private readonly underWay = new Set<Promise<void>>();
  private sent = 0;
  private failure: Error | undefined;

  constructor(
    private readonly broker: BenchBroker,
    private readonly options: SteadyLoadOptions,
  ) {}

  /** Resolves when all that was sent is stored. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all(this.underWay);
    if (this.failure !== undefined) throw this.failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.timer);
    await Promise.all(this.underWay);
  }

  private send(): void {
    const { sessions, everyMs } = this.options;
    const due = ((performance.now() - this.startedAt) * sessions) / everyMs;
    for (; this.sent < due; this.sent++) {
      const message = makeMessage(names, `session-${this.sent % sessions}`, this.sent);
      const storing = this.broker.publish(message).catch((error: Error) => (this.failure ??= error));
      const done = storing.then(() => void this.underWay.delete(done));
      this.underWay.add(done);
    }
  }
}
