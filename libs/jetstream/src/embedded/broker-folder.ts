import { mkdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { LanekeeperError } from '#contracts';
import { formerBroker } from './former-broker.js';

/** How long a process that was just killed, and its broker, may take to end. */
const FORMER_LIFE_MS = 10_000;
const LOOK_AGAIN_MS = 50;
const SQLITE_BUSY = 5;

/**
 * `<dataDir>/nats`: the store, pid, ports and log of one embedded broker. Only the process that has it opened may start a
 * broker in it; the operating system releases it when that process ends, in whatever way.
 */
export class BrokerFolder {
  readonly pidFile: string;
  readonly logFile: string;
  readonly portsDir: string;

  private constructor(
    readonly path: string,
    private readonly lock: DatabaseSync,
  ) {
    this.pidFile = join(path, 'nats-server.pid');
    this.logFile = join(path, 'nats-server.log');
    this.portsDir = join(path, 'ports');
  }

  static async open(dataDir: string, waitMs = FORMER_LIFE_MS): Promise<BrokerFolder> {
    const deadline = performance.now() + waitMs;
    await mkdir(join(dataDir, 'nats', 'ports'), { recursive: true });
    // One spelling of the path: it identifies a broker of a former process.
    const path = await realpath(join(dataDir, 'nats'));
    const lock = new DatabaseSync(join(path, 'lock'));
    const ownerFile = join(path, 'owner.pid');
    while (!tryLock(lock)) {
      if (performance.now() < deadline) {
        await delay(LOOK_AGAIN_MS);
        continue;
      }
      lock.close();
      const owner = (await readFile(ownerFile, 'utf8').catch(() => '')).trim() || 'unknown';
      throw inUse(path, `the Lanekeeper process ${owner}`, owner);
    }
    const folder = new BrokerFolder(path, lock);
    try {
      await writeFile(ownerFile, `${process.pid}\n`);
      await folder.whenFree(Math.max(0, deadline - performance.now()));
    } catch (error) {
      folder.close();
      throw error;
    }
    return folder;
  }

  /** Waits until no former broker runs here. A former broker ends by itself when its parent is gone; we never end it. */
  async whenFree(waitMs = FORMER_LIFE_MS): Promise<void> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      const pid = await formerBroker(this.pidFile, this.path);
      if (pid === undefined) return;
      if (performance.now() >= deadline) throw inUse(this.path, `the nats-server process ${pid}`, String(pid));
      await delay(LOOK_AGAIN_MS);
    }
  }

  close(): void {
    this.lock.close();
  }
}

/** A file lock of the operating system, through SQLite, since Node has none. The database stays empty. */
function tryLock(lock: DatabaseSync): boolean {
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return false;
    throw error;
  }
}

function inUse(path: string, user: string, pid: string): LanekeeperError {
  return new LanekeeperError(
    'data_dir_in_use',
    `data directory: found ${path} in use by ${user}, wanted it free; ` +
      `end that process (kill ${pid}) if it is not meant to run, or set LANEKEEPER_DATA_DIR to another folder`,
  );
}
