import type { Clock } from '#contracts';

/** Tells when the installation has newer settings than this process acts on, which goes on with those that it started with. */
export interface VersionWatchOptions {
  /** What this process acts on; 0 = none of the installation's. */
  readonly version: number;
  /** May be a moment old. */
  readonly glance: () => Promise<number>;
  /** By the leader, behind a hint. */
  readonly read: () => Promise<number>;
  readonly clock: Clock;
  /** Called once for each version. */
  readonly onNewer: (version: number) => void;
}

/** A hint may be missed while the connection is down. */
const LOOK_MS = 30_000;
/** A hint comes as the write is sent, before it is stored. */
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
      // The broker is away: whoever needs it says so.
    } finally {
      // A hint of the meantime looks sooner.
      if (this.cancel === undefined) this.lookIn(LOOK_MS, this.options.glance);
    }
  }
}
