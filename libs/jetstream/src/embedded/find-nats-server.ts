import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { aptSystem } from './apt-system.js';
import { fetchNatsServer } from './fetch-nats-server.js';
import { NatsServerError, installByHand } from './nats-server-error.js';
import { MIN_NATS_SERVER_VERSION, compareVersions, isNewEnough, natsServerVersion } from './nats-server-version.js';

export interface FindNatsServerOptions {
  readonly env: NodeJS.ProcessEnv;
  /** The cache is the folder `.cache/nats-server` in it. */
  readonly packageRoot: string;
  readonly log: (line: string) => void;
  /** What to do when the machine has none; specs replace it. */
  readonly fetch?: typeof fetchNatsServer;
  readonly platform?: NodeJS.Platform;
}

/**
 * The path of a nats-server that is new enough: the one that NATS_SERVER_BIN names, an installed one, one that was fetched
 * before, or one that is fetched now. A named one that cannot be used is an error and is never skipped: otherwise the user
 * would run another broker than the one asked for.
 */
export async function findNatsServer(options: FindNatsServerOptions): Promise<string> {
  const { env, packageRoot, log, platform = process.platform } = options;
  if (env['NATS_SERVER_BIN']) return named(env['NATS_SERVER_BIN']);

  const tooOld: string[] = [];
  const cacheFolder = join(packageRoot, '.cache', 'nats-server');
  for (const binary of [...(await onPath(env['PATH'] ?? '')), ...(await inCache(cacheFolder))]) {
    const version = await natsServerVersion(binary).catch(() => undefined);
    if (version === undefined) continue;
    if (isNewEnough(version)) return binary;
    tooOld.push(`${binary} ${version}`);
  }

  const system = await aptSystem(platform);
  if (system !== undefined) return (options.fetch ?? fetchNatsServer)({ cacheFolder, env, log, system });
  const found = tooOld.length > 0 ? `found only ${tooOld.join(', ')}` : 'found none on the PATH';
  throw new NatsServerError(
    `nats-server: ${found}, wanted ${MIN_NATS_SERVER_VERSION} or later; ${installByHand(platform)}`,
  );
}

async function named(path: string): Promise<string> {
  const binary = resolve(path);
  const wanted = `wanted the path of a nats-server ${MIN_NATS_SERVER_VERSION} or later`;
  const remedy = 'correct it, or unset it to let Lanekeeper find one';
  const fail = (found: string) => new NatsServerError(`NATS_SERVER_BIN: found ${found}, ${wanted}; ${remedy}`);
  if (!(await isExecutableFile(binary))) throw fail(`${binary}, which is no executable file`);
  let version: string;
  try {
    version = await natsServerVersion(binary);
  } catch (error) {
    throw fail(`${binary}, but ${(error as Error).message}`);
  }
  if (!isNewEnough(version)) throw fail(`${binary} ${version}`);
  return binary;
}

async function onPath(path: string): Promise<string[]> {
  const binaries: string[] = [];
  // With a relative entry the binary would depend on the current folder.
  for (const folder of path.split(delimiter).filter((entry) => entry.startsWith('/'))) {
    const binary = join(folder, 'nats-server');
    if (await isExecutableFile(binary)) binaries.push(binary);
  }
  return binaries;
}

/** Newest first. */
async function inCache(cacheFolder: string): Promise<string[]> {
  const names = await readdir(cacheFolder).catch(() => []);
  const versions = names.filter((name) => /^\d+\.\d+\.\d+$/.test(name)).toSorted((a, b) => compareVersions(b, a));
  return versions.map((version) => join(cacheFolder, version, 'nats-server'));
}

async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
