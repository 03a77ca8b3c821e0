import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AptSystem } from './apt-system.js';
import { unpackDebianPackages } from './debian-package.js';
import { NatsServerError, installByHand } from './nats-server-error.js';
import { MIN_NATS_SERVER_VERSION, isNewEnough, natsServerVersion } from './nats-server-version.js';

// The first Debian release whose nats-server is new enough. Only its package is unpacked; nothing is installed, so the
// machine's own libraries stay as they are.
const SUITE = 'forky';
/** No fetch takes that long: a folder this old was left by a process that was killed during a fetch. */
const ABANDONED_AFTER_MS = 3_600_000;

export interface FetchNatsServerOptions {
  readonly cacheFolder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
  readonly system: AptSystem;
}

/**
 * Takes nats-server out of Debian's package. Two processes may do this at once: each has its own folder, and the finished
 * binary moves into the cache in one step, so no process sees half of it.
 */
export async function fetchNatsServer(options: FetchNatsServerOptions): Promise<string> {
  const { cacheFolder, env, log, system } = options;
  log('nats-server: none found on this machine, fetching it from the Debian archive with apt (once, about 20 MB)');
  await mkdir(cacheFolder, { recursive: true });
  await removeAbandoned(cacheFolder);
  // Inside the cache: a rename is atomic only within one file system.
  const folder = await mkdtemp(join(cacheFolder, '.fetch-'));
  try {
    const unpacked = await unpackDebianPackages({ folder, system, suite: SUITE, packages: ['nats-server'], env }).catch(
      (error: Error) => {
        throw failed(error.message, error);
      },
    );
    const binary = join(unpacked, 'usr/sbin/nats-server');
    const version = await natsServerVersion(binary).catch((error: Error) => {
      throw failed(`the nats-server of Debian ${SUITE} does not run on this machine: ${error.message}`);
    });
    if (!isNewEnough(version)) {
      throw failed(`Debian ${SUITE} offers nats-server ${version}, wanted ${MIN_NATS_SERVER_VERSION} or later`);
    }
    await mkdir(join(cacheFolder, version), { recursive: true });
    const cached = join(cacheFolder, version, 'nats-server');
    await chmod(binary, 0o755);
    await rename(binary, cached);
    return cached;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function removeAbandoned(cacheFolder: string): Promise<void> {
  for (const name of await readdir(cacheFolder)) {
    if (!name.startsWith('.fetch-')) continue;
    const folder = join(cacheFolder, name);
    const ageMs = Date.now() - ((await stat(folder).catch(() => undefined))?.mtimeMs ?? Date.now());
    if (ageMs > ABANDONED_AFTER_MS) await rm(folder, { recursive: true, force: true });
  }
}

function failed(reason: string, cause?: unknown): NatsServerError {
  return new NatsServerError(`fetching nats-server: ${reason}; or ${installByHand('linux')}`, { cause });
}
