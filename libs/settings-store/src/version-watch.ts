import type { Clock } from '#contracts';

/** Tells when the installation has newer settings than this process. The process keeps the settings of its start. */
export interface VersionWatchOptions {
  /** Version that this process uses; 0 = it uses no shared settings. */
  readonly version: number;
  /** Reads from any replica. May be a moment old. */
  readonly glance: () => Promise<number>;
  /** Reads from the leader, after a hint. */
  readonly read: () => Promise<number>;
  readonly clock: Clock;
  /** Called once for each version. */
  readonly onNewer: (version: number) => void;
}

/** Interval of regular checks. A hint may be missed while the connection is down. */
const LOOK_MS = 30_000;
/** A hint arrives when the write is sent, before it is stored. */
const STORED_WITHIN_MS = 200;

export class VersionWatch {
  private newest: number;
  private cancel: (() => void) | undefined;
  private isClosed = false;

  constructor(private readonly options: VersionWatchOptions) {
    this.newest = options.version;
    this.lookIn(LOOK_MS, options.glance);
  }

  /** A version is being written. */
  hint(): void {
    this.lookIn(STORED_WITHIN_MS, this.options.read);
  }

  close(): void {
    this.isClosed = true;
    this.cancel?.();
  }

  private lookIn(delayMs: number, read: () => Promise<number>): void {
    this.cancel?.();
    if (this.isClosed) return;
    this.cancel = this.options.clock.after(delayMs, () => {
      this.cancel = undefined;
      void this.look(read);
    });
  }

  private async look(read: () => Promise<number>): Promise<void> {
    try {
      const version = await read();
      if (this.isClosed || version <= this.newest) return;
      this.newest = version;
      this.options.onNewer(version);
    } catch {
      // The broker is away. Other parts of the process log that.
    } finally {
      // If a hint came meanwhile, an earlier check is planned already.
      if (this.cancel === undefined) this.lookIn(LOOK_MS, this.options.glance);
    }
  }
}
