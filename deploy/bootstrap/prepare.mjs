// What `npm start` and `npm test` do before they do their own work. Plain Node without dependencies: it runs before
// anything is installed, on whatever Node (from 20.19) the machine has.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const installStamp = join(root, 'node_modules/.lanekeeper-install');
const node24 = join(root, 'node_modules/.bin/node');

/** A failure whose text is for people: printed without a stack trace. */
class BootstrapError extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Runs `main` and ends the process with the exit code it answers. */
export async function bootstrap(main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof BootstrapError)) throw error;
    console.error(`lanekeeper: ${error.message}`);
    process.exitCode = error.exitCode;
  }
}

/** `npm ci`, unless what is installed is what package-lock.json asks for on this platform. */
export async function installIfNeeded() {
  checkNodeVersion();
  const wanted = stampOfLockFile();
  if (existsSync(node24) && readStamp() === wanted) return;
  console.error('lanekeeper: installing dependencies (npm ci)');
  // Gone first: an installation that is interrupted half way must not pass for a whole one.
  rmSync(installStamp, { force: true });
  // `npm_execpath` is the npm that runs us; --include=dev because Node 24 and tsc are there, whatever NODE_ENV says.
  const npm = process.env.npm_execpath;
  // Only errors: on Node 20 npm warns of packages that want a newer one, and they get it from node_modules.
  const args = ['ci', '--include=dev', '--no-progress', '--loglevel=error'];
  const code = npm?.endsWith('.js')
    ? await run(process.execPath, [npm, ...args], toStderr)
    : await run('npm', args, toStderr);
  if (code !== 0) {
    throw new BootstrapError(
      `npm ci ended with exit code ${code}: see its lines above, mend that, then run again`,
      code,
    );
  }
  if (!existsSync(node24)) {
    throw new BootstrapError(
      'npm ci did not install node_modules/.bin/node: install scripts are switched off; run `npm rebuild node` or `npm config set ignore-scripts false`, then run again',
    );
  }
  writeFileSync(installStamp, wanted);
}

/** Compiles to dist; well under a second when nothing changed. */
export async function buildIfNeeded() {
  const sources = ['apps', 'libs'].flatMap((folder) => filesUnder(folder, '.ts'));
  removeOrphans(new Set(sources));
  // tsc trusts its build info and would never write again what was deleted from dist.
  const emitted = sources.filter((file) => !/\.(spec|fixture|d)\.ts$/.test(file));
  if (emitted.some((file) => !existsSync(join(root, 'dist', file.replace(/\.ts$/, '.js'))))) {
    rmSync(join(root, 'dist/.tsbuildinfo'), { force: true });
  }
  const code = await runNode24(['node_modules/.bin/tsc', '-p', 'tsconfig.build.json'], toStderr);
  if (code !== 0) throw new BootstrapError('the build failed: see the lines of tsc above', code);
}

/** Node 24 from the npm package `node`, in the package's folder unless `cwd` is given; answers its exit code. */
export function runNode24(args, options = {}) {
  return run(node24, args, options);
}

// Standard output belongs to the program that is started (its `ready` line), so that of its preparations goes elsewhere.
const toStderr = { stdio: ['ignore', 2, 2] };

// npm passes on a signal that the terminal has sent to the whole foreground group already: the same one twice within
// this time is one. Passed on twice, a first Ctrl-C would be taken for the second, which means "now, without draining".
const sameSignalMs = 500;

/**
 * Runs a child to its end. It has its own process group, so that a Ctrl-C reaches it through us, exactly once; its whole
 * group, as a terminal would do it, for Vitest leaves the end of its workers to that. A small shell holds a pipe from us
 * and ends the group when we are killed without a chance to do it (kill -9).
 */
function run(command, args, { stdio = 'inherit', cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, PATH: [dirname(process.execPath), process.env.PATH ?? ''].join(delimiter) };
    const child = spawn(command, args, { cwd, env, stdio, detached: true });
    child.once('error', (error) =>
      reject(new BootstrapError(`cannot run ${command} (${error.message}): is it installed and on the PATH?`)),
    );
    if (child.pid === undefined) return;
    const script = 'while read -r _; do :; done; kill -TERM "-$1"';
    const watcher = spawn('sh', ['-c', script, 'sh', String(child.pid)], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    watcher.once('error', () => {}); // without a shell there is only no guard against kill -9
    const lastAt = {};
    const forward = (signal) => {
      const now = performance.now();
      if (now - (lastAt[signal] ?? -Infinity) < sameSignalMs) return;
      lastAt[signal] = now;
      process.kill(-child.pid, signal); // there until `exit` takes this listener away
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    child.once('exit', (code, signal) => {
      watcher.kill('SIGKILL');
      for (const each of signals) process.off(each, forward);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

function checkNodeVersion() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new BootstrapError(
    `Node: found ${process.version}, wanted 20.19 or later; install a newer Node, then run again`,
  );
}

function stampOfLockFile() {
  const hash = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  return `${hash} ${process.platform} ${process.arch}\n`;
}

function readStamp() {
  return existsSync(installStamp) ? readFileSync(installStamp, 'utf8') : undefined;
}

/** Paths relative to the package, of all files under a folder of it. */
function filesUnder(folder, ending) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));
}

/** What was compiled from a source that is gone would still be found by an import, and hide that it is broken. */
function removeOrphans(sources) {
  for (const file of ['dist/apps', 'dist/libs'].flatMap((folder) => filesUnder(folder, '.js'))) {
    if (sources.has(file.slice('dist/'.length).replace(/\.js$/, '.ts'))) continue;
    for (const name of [file, `${file}.map`]) rmSync(join(root, name), { force: true });
  }
}
