import type { Names, SessionTokens } from '#contracts';
import type { BrokerConnection } from '#jetstream';
import type { SessionHistory, StoredRecord } from '../sessions/session-history.client.js';

/** The time between looks without a hint: a reconnect can lose hints. */
const LOOK_EVERY_MS = 1_000;
/** A hint arrives with the publish, a moment before the broker stores or refuses the record. */
const LOOK_AGAIN_MS = 5;
const LOOK_AGAIN_MAX_MS = 200;

/**
 * Waits for the record that decides a message. Workers publish records anyhow, so a plain subscription hears of them at
 * no extra cost. What it hears may lose its compare-and-set, so it is only a hint to look at what is stored.
 */
export class TurnWaiter {
  private readonly stopped = new AbortController();

  constructor(
    private readonly connection: BrokerConnection,
    private readonly names: Names,
    private readonly history: SessionHistory,
  ) {}

  /** Call it before the publish: a fast turn ends before the acknowledgement of its message arrives. */
  watch(key: SessionTokens): TurnWatch {
    return new TurnWatch(this.connection, this.names.turnsSubject(key), key, this.history, this.stopped.signal);
  }

  /** Ends all waits: their callers get 202. */
  stop(): void {
    this.stopped.abort();
  }
}

export class TurnWatch {
  private hinted = false;
  private wake = (): void => {};
  private readonly end: () => void;

  constructor(
    connection: BrokerConnection,
    subject: string,
    private readonly key: SessionTokens,
    private readonly history: SessionHistory,
    private readonly stopped: AbortSignal,
  ) {
    const subscription = connection.nc.subscribe(subject, {
      callback: () => {
        this.hinted = true;
        this.wake();
      },
    });
    this.end = () => subscription.unsubscribe();
  }

  /** The deciding record, or `undefined` when the time is over, the service stops or the caller is gone. */
  async decided(seq: number, waitMs: number, gone: AbortSignal): Promise<StoredRecord | undefined> {
    const deadline = performance.now() + waitMs;
    let lookAgainMs = LOOK_AGAIN_MS;
    for (;;) {
      const wasHinted = this.hinted;
      this.hinted = false;
      const record = await this.history.decisionOf(this.key, { seq }).catch(() => undefined);
      const leftMs = deadline - performance.now();
      if (record !== undefined || leftMs <= 0 || gone.aborted || this.stopped.aborted) return record;
      lookAgainMs = wasHinted ? Math.min(LOOK_AGAIN_MAX_MS, lookAgainMs * 2) : LOOK_AGAIN_MS;
      await this.pause(Math.min(leftMs, wasHinted ? lookAgainMs : LOOK_EVERY_MS), gone);
    }
  }

  close(): void {
    this.end();
  }

  private async pause(delayMs: number, gone: AbortSignal): Promise<void> {
    if (this.hinted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.wake = () => (clearTimeout(timer), resolve());
      gone.addEventListener('abort', this.wake, { once: true });
      this.stopped.addEventListener('abort', this.wake, { once: true });
    });
    gone.removeEventListener('abort', this.wake);
    this.stopped.removeEventListener('abort', this.wake);
    this.wake = () => {};
  }
}
