import { execFile } from 'node:child_process';
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { archiveUri, type AptSystem } from './apt-system.js';
import { NatsServerError, installByHand } from './nats-server-error.js';
import { MIN_NATS_SERVER_VERSION, isNewEnough, natsServerVersion } from './nats-server-version.js';

// The first Debian release whose nats-server is new enough. Only its package is unpacked; nothing of it is installed, so
// the machine's own libraries stay as they are.
const SUITE = 'forky';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** For Ubuntu, whose own mirrors have no Debian suites. */
const DEBIAN_ARCHIVE = 'http://deb.debian.org/debian';
const COMMAND_TIMEOUT_MS = 180_000;
/** No fetch lasts that long: a folder this old was left by a process that was killed in the middle. */
const ABANDONED_AFTER_MS = 3_600_000;

export interface FetchNatsServerOptions {
  readonly cacheFolder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
  readonly system: AptSystem;
}

/**
 * Gets Debian's package of nats-server with the machine's own apt, without root, and without touching its sources, its
 * lists or its packages: apt works on folders of ours. Two processes may do it at once: each has its own folder, and the
 * finished binary moves into the cache in one step, so nobody ever sees half of it.
 */
export async function fetchNatsServer(options: FetchNatsServerOptions): Promise<string> {
  const { cacheFolder, env, log, system } = options;
  const uri = system.id === 'ubuntu' ? DEBIAN_ARCHIVE : await archiveUri(system.codename);
  if (uri === undefined) throw failed('found no `deb` entry in /etc/apt/sources.list or sources.list.d, wanted one');
  await access(KEYRING).catch(() => {
    throw failed(`found no ${KEYRING}, wanted it; run \`apt-get install debian-archive-keyring\` and start again`);
  });

  log('nats-server: none found on this machine, fetching it from the Debian archive with apt (once, about 20 MB)');
  await mkdir(cacheFolder, { recursive: true });
  await removeAbandoned(cacheFolder);
  // Inside the cache: a rename is one step only within a file system.
  const folder = await mkdtemp(join(cacheFolder, '.fetch-'));
  try {
    const binary = await unpack(folder, uri, env);
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

async function unpack(folder: string, uri: string, env: NodeJS.ProcessEnv): Promise<string> {
  const sources = join(folder, 'debian.sources');
  // Readable by us only: a mirror's address can hold a password.
  await writeFile(sources, `Types: deb\nURIs: ${uri}\nSuites: ${SUITE}\nComponents: main\nSigned-By: ${KEYRING}\n`, {
    mode: 0o600,
  });
  for (const name of ['lists/partial', 'cache/archives/partial']) await mkdir(join(folder, name), { recursive: true });
  const settings = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${join(folder, 'lists')}`,
    `Dir::Cache=${join(folder, 'cache')}`,
    // As root, apt would do its downloads as `_apt`, who may not write here. Of no effect for other users.
    'APT::Sandbox::User=root',
    // Otherwise a mirror that cannot be reached is a mere warning, and the error is about a package that "does not exist".
    'APT::Update::Error-Mode=any',
    'Acquire::Languages=none',
    'Acquire::Retries=2',
    'Acquire::http::Timeout=20',
  ].flatMap((setting) => ['-o', setting]);
  await run('apt-get', [...settings, '-qq', 'update'], folder, env);
  await run('apt-get', [...settings, '-qq', 'download', 'nats-server'], folder, env);
  const archive = (await readdir(folder)).find((name) => name.endsWith('.deb'));
  if (archive === undefined) throw failed('apt-get download left no package behind');
  await run('dpkg-deb', ['-x', archive, 'unpacked'], folder, env);
  return join(folder, 'unpacked/usr/sbin/nats-server');
}

async function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<void> {
  try {
    await promisify(execFile)(command, args, { cwd, env: { ...env, LC_ALL: 'C' }, timeout: COMMAND_TIMEOUT_MS });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    const lines = (stderr ?? '').trim().split('\n');
    const reason = lines.find((line) => line.startsWith('E:')) ?? (lines.at(-1) || message);
    throw failed(`${command} failed: ${reason}; check that this machine reaches its package mirror`, error);
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
