import { doublingWaitMs } from '#contracts';
import { setTimeout as delay } from 'node:timers/promises';
import { BrokerFolder } from './broker-folder.js';
import { BrokerProcess } from './broker-process.js';

const BACKOFF = { firstMs: 50, longestMs: 2_000 };
/** With these backoffs about ten seconds: longer than a port stays taken, short enough for a person who waits. */
const FAILURES_IN_A_ROW = 10;
/** After a run as long as this the backoff starts again. */
const GOOD_LIFE_MS = 10_000;

export interface EmbeddedBrokerOptions {
  readonly binary: string;
  /** Data, pid and log go to its folder `nats`. */
  readonly dataDir: string;
  readonly configFile: string;
  /** Unset = any free one. */
  readonly port?: number;
  readonly log: (line: string) => void;
  /** Called when the broker ended and could not be restarted: nothing works from now on. */
  readonly onExit?: (error: Error) => void;
}

/**
 * The nats-server of `lanekeeper up`, kept alive until `stop()`.
 *
 * starting → running → (died: restarting → running)* → stopped
 *
 * It restarts on the same port, since its clients know no other and reconnect by themselves.
 */
export class EmbeddedBroker {
  private readonly stopping = new AbortController();
  private readonly watch: Promise<void>;
  private current: BrokerProcess;

  private constructor(
    private readonly options: EmbeddedBrokerOptions,
    private readonly folder: BrokerFolder,
    first: BrokerProcess,
  ) {
    this.current = first;
    this.watch = this.keepAlive(first.port);
  }

  /** Resolves when clients can connect. Fails when another broker uses the data directory. */
  static async start(options: EmbeddedBrokerOptions): Promise<EmbeddedBroker> {
    const folder = await BrokerFolder.open(options.dataDir);
    try {
      const { binary, configFile, port } = options;
      const first = await BrokerProcess.start({ binary, configFile, folder, port });
      return new EmbeddedBroker(options, folder, first);
    } catch (error) {
      folder.close();
      throw error;
    }
  }

  get url(): string {
    return `nats://127.0.0.1:${this.current.port}`;
  }

  /** Pid of the current nats-server; it changes with a restart. */
  get pid(): number {
    return this.current.pid;
  }

  /** Stops it gracefully; resolves when it has ended and its data directory is free. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.current.stop();
    await this.watch;
    this.folder.close();
  }

  private async keepAlive(port: number): Promise<void> {
    let waits = 0;
    for (;;) {
      const startedAt = performance.now();
      const reason = await this.current.exited;
      if (this.stopping.signal.aborted) return;
      if (performance.now() - startedAt > GOOD_LIFE_MS) waits = 0;
      this.options.log(`embedded nats-server ${this.current.pid} ${reason}: restarting it on port ${port}`);
      for (let failures = 1; ; failures++) {
        await delay(doublingWaitMs(BACKOFF, waits++), undefined, { signal: this.stopping.signal }).catch(() => {});
        if (this.stopping.signal.aborted) return;
        try {
          await this.restart(port);
          break;
        } catch (error) {
          if (failures >= FAILURES_IN_A_ROW) return this.giveUp(error as Error);
          this.options.log(`embedded nats-server: restart ${failures} failed: ${(error as Error).message}`);
        }
      }
      // `stop()` may have come while this process was starting: it stopped the former one, so we stop this one.
      if (this.stopping.signal.aborted) return this.current.stop();
    }
  }

  private async restart(port: number): Promise<void> {
    const { binary, configFile } = this.options;
    // When only its shell died, the broker itself needs a moment to end too.
    await this.folder.whenFree();
    this.current = await BrokerProcess.start({ binary, configFile, folder: this.folder, port });
    this.options.log(`embedded nats-server: runs again as ${this.current.pid}`);
  }

  private giveUp(error: Error): void {
    this.options.log(`embedded nats-server: gave up after ${FAILURES_IN_A_ROW} failures in a row: ${error.message}`);
    this.options.onExit?.(error);
  }
}
