import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { until } from './until.js';

/** A broker that a service started ends shortly after the service. */
const SETTLE_MS = 5_000;

interface Tracked {
  readonly what: string;
  readonly end: () => void | Promise<void>;
}

const tracked = new Set<Tracked>();
const tempDirs = new Set<string>();

/**
 * Registers a resource that the test must end, and returns a function that marks it as ended. `end` is called if the
 * test forgets.
 */
export function track(what: string, end: Tracked['end']): () => void {
  const entry = { what, end };
  tracked.add(entry);
  return () => tracked.delete(entry);
}

/** Registers a folder of the test. After the test no process may use it. */
export function trackTempDir(path: string): void {
  tempDirs.add(path);
}

/**
 * For `afterEach` or `afterAll`. Fails when a process of the helpers still runs, a temp folder still exists, or any
 * process (such as a service's own broker) still names such a folder on its command line. Ends all of them, so that the
 * next tests do not fail too.
 */
export function expectNothingLeft(): Promise<void> {
  return nothingLeftWithin(SETTLE_MS);
}

/** The same with another timeout, for the spec of this file. */
export async function nothingLeftWithin(settleMs: number): Promise<void> {
  let left: string[] = [];
  try {
    await until(
      'nothing is left',
      async () => {
        left = [...[...tracked].map(({ what }) => what), ...(await leftOfTempDirs())];
        return left.length === 0;
      },
      { timeoutMs: settleMs },
    );
  } catch (error) {
    for (const { end } of [...tracked]) await end();
    throw new Error(`the test left behind: ${left.join('; ')}. Use \`await using\`, or stop it in afterEach.`, {
      cause: error,
    });
  } finally {
    tracked.clear();
    tempDirs.clear();
  }
}

/** Ends everything that is registered, the last first. For a program that is told to end during its work. */
export async function endAllTracked(): Promise<void> {
  for (const { end } of [...tracked].toReversed()) await end();
}

async function leftOfTempDirs(): Promise<string[]> {
  if (tempDirs.size === 0) return [];
  const folders = [...tempDirs];
  const left = folders.filter((folder) => existsSync(folder)).map((folder) => `folder ${folder}`);
  for (const pid of (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ');
    if (folders.some((folder) => command.includes(folder)))
      left.push(`process ${pid} (${command.trim().slice(0, 200)})`);
  }
  return left;
}
