import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { until } from './until.js';

/** A broker that a service started ends a moment after that service does. */
const SETTLE_MS = 5_000;

interface Tracked {
  readonly what: string;
  readonly end: () => void | Promise<void>;
}

const tracked = new Set<Tracked>();
const tempDirs = new Set<string>();

/** Notes something that has to be ended; the answer notes that it has. `end` is for the case that the test forgot. */
export function track(what: string, end: Tracked['end']): () => void {
  const entry = { what, end };
  tracked.add(entry);
  return () => tracked.delete(entry);
}

/** Notes a folder of the test; no process may work with it after the test. */
export function trackTempDir(path: string): void {
  tempDirs.add(path);
}

/**
 * For `afterEach` or `afterAll`: fails when a process of the helpers still runs, or a temp folder is still there, or any
 * process (e.g. a service's own broker) still names one on its command line. What is left is ended, so that one
 * forgetful test does not fail the next ones.
 */
export function expectNothingLeft(): Promise<void> {
  return nothingLeftWithin(SETTLE_MS);
}

/** The same with another patience, for the spec of this file. */
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

/** Ends all that is there, the last first: for a program that is told to end in the middle of its work. */
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
