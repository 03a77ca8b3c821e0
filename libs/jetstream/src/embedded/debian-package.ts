import { execFile } from 'node:child_process';
import { access, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { archiveUri, type AptSystem } from './apt-system.js';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const COMMAND_TIMEOUT_MS = 180_000;

export interface DebianPackages {
  /** An empty folder of the caller; everything happens in it. */
  readonly folder: string;
  readonly system: AptSystem;
  /** The Debian release they are taken from, e.g. `bookworm`. */
  readonly suite: string;
  readonly packages: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Downloads Debian packages with the machine's own apt, without root, and without touching its sources, its lists or its
 * installed packages: apt works in folders of ours, and nothing is installed. Returns the folder with the unpacked packages;
 * a failure is an error with a short reason.
 */
export async function unpackDebianPackages(options: DebianPackages): Promise<string> {
  const { folder, system, suite, packages, env } = options;
  const uri = await archiveUri(system.codename);
  if (uri === undefined) {
    throw new Error('found no `deb` entry in /etc/apt/sources.list or sources.list.d, wanted one');
  }
  await access(KEYRING).catch(() => {
    throw new Error(`found no ${KEYRING}, wanted it; run \`apt-get install debian-archive-keyring\` and start again`);
  });
  const sources = join(folder, 'debian.sources');
  // Readable by us only: a mirror's address can contain a password.
  await writeFile(sources, `Types: deb\nURIs: ${uri}\nSuites: ${suite}\nComponents: main\nSigned-By: ${KEYRING}\n`, {
    mode: 0o600,
  });
  for (const name of ['lists/partial', 'cache/archives/partial']) await mkdir(join(folder, name), { recursive: true });
  const settings = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${join(folder, 'lists')}`,
    `Dir::Cache=${join(folder, 'cache')}`,
    // As root, apt would download as the user `_apt`, which may not write here. Without effect for other users.
    'APT::Sandbox::User=root',
    // Otherwise an unreachable mirror is a mere warning, and the error is about a package that "does not exist".
    'APT::Update::Error-Mode=any',
    'Acquire::Languages=none',
    'Acquire::Retries=2',
    'Acquire::http::Timeout=20',
  ].flatMap((setting) => ['-o', setting]);
  await run('apt-get', [...settings, '-qq', 'update'], folder, env);
  await run('apt-get', [...settings, '-qq', 'download', ...packages], folder, env);
  const archives = (await readdir(folder)).filter((name) => name.endsWith('.deb'));
  if (archives.length < packages.length) throw new Error('apt-get download left no package behind');
  for (const archive of archives) await run('dpkg-deb', ['-x', archive, 'unpacked'], folder, env);
  return join(folder, 'unpacked');
}

async function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<void> {
  try {
    await promisify(execFile)(command, args, { cwd, env: { ...env, LC_ALL: 'C' }, timeout: COMMAND_TIMEOUT_MS });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    const lines = (stderr ?? '').trim().split('\n');
    const reason = lines.find((line) => line.startsWith('E:')) ?? (lines.at(-1) || message);
    throw new Error(`${command} failed: ${reason}; check that this machine reaches its package mirror`, {
      cause: error,
    });
  }
}
