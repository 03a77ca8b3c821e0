import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '#config';
import { formatFor } from './page/format.js';
import type { Environment } from './environment.js';
import type { Comparison } from './targets.js';

/** What a run of the bench found out about one part, and what that depends on. */
export interface PartResult {
  /** Repeats it. */
  readonly command: string;
  readonly environment: Environment;
  readonly comparisons: readonly Comparison[];
}

/** By the parts' names. */
export type Results = Readonly<Record<string, PartResult>>;

/** Kept by part: all of them together take hours, so each is measured when its code has changed. */
const FILE = join(packageRoot(), 'docs/bench/results.json');

export async function readResults(): Promise<Results> {
  const text = await readFile(FILE, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}';
    throw error;
  });
  return JSON.parse(text) as Results;
}

/** Puts new results into the place of the former ones of their parts. */
export async function keepResults(fresh: Results): Promise<Results> {
  const results = { ...(await readResults()), ...fresh };
  await mkdir(join(FILE, '..'), { recursive: true });
  await writeFile(FILE, await formatFor(FILE, JSON.stringify(results)));
  return results;
}
