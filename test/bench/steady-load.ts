import { names, type BenchBroker } from './bench-broker.js';
import { makeMessage, type Message } from './work.js';

export interface SteadyLoadOptions {
  readonly sessions: readonly string[];
  /** Each session gets a message so often. */
  readonly everyMs: number;
  /** Told of every message just before it is sent. */
  readonly onSend?: (session: string, message: Message) => void;
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
    const { sessions, everyMs, onSend } = this.options;
    const due = ((performance.now() - this.startedAt) * sessions.length) / everyMs;
    for (; this.sent < due; this.sent++) {
      const session = sessions[this.sent % sessions.length] as string;
      const message = makeMessage(names, session, this.sent);
      onSend?.(session, message);
      const storing = this.broker.publish(message).then(
        () => {},
        (error: Error) => void (this.failure ??= error),
      );
      const done = storing.then(() => void this.underWay.delete(done));
      this.underWay.add(done);
    }
  }
}
