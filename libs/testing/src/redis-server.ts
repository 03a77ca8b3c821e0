import { access, constants, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { packageRoot } from '#config';
import { aptSystem, unpackDebianPackages } from '#jetstream';
import { freePorts } from './free-ports.js';
import { hostEnv } from './host-env.js';
import { spawnOwned } from './owned-process.js';
import { tempDir } from './temp-dir.js';
import { until } from './until.js';

/**
 * Which writes are on the disk. `everysec`: all but those of the last second. The system has these, so a kill -9 of
 * Redis loses nothing and a power cut loses them. `always`: all acknowledged writes.
 */
export type RedisKeeps = 'nothing' | 'everysec' | 'always';

export interface TestRedis extends AsyncDisposable {
  readonly url: string;
  readonly version: string;
  readonly pid: number;
}

/** A real Redis on a free port. */
export async function startRedis({ keeps = 'nothing' }: { keeps?: RedisKeeps } = {}): Promise<TestRedis> {
  const { command, env } = await findRedisServer();
  const scratch = await tempDir('redis');
  const [port = 0] = await freePorts(1);
  const log = keeps === 'nothing' ? ['--appendonly', 'no'] : ['--appendonly', 'yes', '--appendfsync', keeps];
  const flags = ['--bind', '127.0.0.1', '--port', String(port), '--save', '', ...log];
  const owned = await spawnOwned({ command, args: flags, env: { ...hostEnv(), ...env }, cwd: scratch.path });
  const stop = async () => {
    await owned.stop();
    await scratch.remove();
  };
  let ended = false;
  void owned.exited.then(() => (ended = true));
  try {
    await until('redis-server answers', () => ended || answers(port));
    if (ended) throw new Error(`redis-server ended instead of getting ready; its output:\n${owned.output()}`);
  } catch (error) {
    await stop();
    throw error;
  }
  const version = /Redis version=([\d.]+)/.exec(owned.output())?.[1] ?? 'unknown';
  return { url: `redis://127.0.0.1:${port}`, version, pid: owned.pid, [Symbol.asyncDispose]: stop };
}

interface RedisBinary {
  readonly command: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Finds a binary: the one in REDIS_SERVER_BIN, an installed one, one fetched earlier, or one fetched now. */
async function findRedisServer(): Promise<RedisBinary> {
  const { REDIS_SERVER_BIN, PATH = '' } = hostEnv();
  if (REDIS_SERVER_BIN) return { command: REDIS_SERVER_BIN, env: {} };
  for (const folder of PATH.split(delimiter).filter((entry) => entry.startsWith('/'))) {
    const command = join(folder, 'redis-server');
    if (await isExecutable(command)) return { command, env: {} };
  }
  const fetched = join(packageRoot(), '.cache', 'redis-server');
  if (!(await isExecutable(join(fetched, 'usr/bin/redis-server')))) await fetchRedisServer(fetched);
  // The libraries of the packages are beside the binary, because nothing was installed.
  const [triplet = ''] = (await readdir(join(fetched, 'usr/lib'))).filter((name) => name.includes('-linux-'));
  return {
    command: join(fetched, 'usr/bin/redis-server'),
    env: { LD_LIBRARY_PATH: join(fetched, 'usr/lib', triplet) },
  };
}

/** redis-server from the machine's own release, with libraries that a small machine may lack. */
const PACKAGES = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1'];

async function fetchRedisServer(target: string): Promise<void> {
  const system = await aptSystem(process.platform);
  if (system === undefined) {
    throw new Error('redis-server: found none on the PATH; install it, or set REDIS_SERVER_BIN to the binary');
  }
  await mkdir(join(target, '..'), { recursive: true });
  const folder = await mkdtemp(join(target, '..', '.fetch-redis-'));
  try {
    const suite = system.codename;
    const unpacked = await unpackDebianPackages({ folder, system, suite, packages: PACKAGES, env: hostEnv() });
    await rm(target, { recursive: true, force: true });
    await rename(unpacked, target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } finally {
    socket.destroy();
  }
}
