import type { Clock } from '#contracts';
import type { Logger } from '#telemetry';

export interface BurstLogOptions {
  readonly log: Logger;
  readonly level: 'info' | 'warn';
  readonly message: string;
  readonly clock: Pick<Clock, 'monotonic' | 'after'>;
}

const WINDOW_MS = 1_000;
/** Lines written per second. The rest is counted, so that it does not hide other lines. */
const MAX_LINES = 10;
const MAX_SESSIONS = 10_000;

/**
 * Log lines of one kind. When ten thousand messages are dropped at once, the log must not get ten thousand lines. The
 * first lines of a second are written. One more line counts the rest and their sessions.
 */
export class BurstLog {
  private endsAt = Number.NEGATIVE_INFINITY;
  private written = 0;
  private unwritten = 0;
  private readonly sessions = new Set<string>();
  private cancelTimer: (() => void) | undefined;

  constructor(private readonly options: BurstLogOptions) {}

  line(session: string, fields: object): void {
    const { clock, log, level, message } = this.options;
    const now = clock.monotonic();
    if (now >= this.endsAt) {
      this.flush();
      this.endsAt = now + WINDOW_MS;
      this.written = 0;
    }
    if (this.written < MAX_LINES) {
      this.written++;
      log[level](fields, message);
      return;
    }
    this.unwritten++;
    if (this.sessions.size < MAX_SESSIONS) this.sessions.add(session);
    this.cancelTimer ??= clock.after(this.endsAt - now, () => this.flush());
  }

  /** Writes the line that counts the lines left out. */
  flush(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    if (this.unwritten === 0) return;
    const { log, level, message } = this.options;
    log[level]({ more: this.unwritten, sessions: this.sessions.size }, message);
    this.unwritten = 0;
    this.sessions.clear();
  }
}
