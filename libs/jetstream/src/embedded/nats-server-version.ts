import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Older versions lack a per-message TTL, scheduled messages or atomic batches, and would refuse our streams at start. */
export const MIN_NATS_SERVER_VERSION = '2.14.0';

const ANSWER_TIMEOUT_MS = 10_000;

/** The version that a binary reports, e.g. `2.15.1`. Throws with a short reason when it is not a nats-server that runs here. */
export async function natsServerVersion(binary: string): Promise<string> {
  let output: string;
  try {
    output = (await promisify(execFile)(binary, ['-v'], { timeout: ANSWER_TIMEOUT_MS })).stdout;
  } catch (error) {
    const { code, stderr } = error as { code?: string | number; stderr?: string };
    const reason = stderr?.trim().split('\n')[0] || (code ?? (error as Error).message);
    throw new Error(`it does not run (${reason})`, { cause: error });
  }
  const version = /\bv?(\d+\.\d+\.\d+)/.exec(output)?.[1];
  if (version === undefined) throw new Error(`it answers -v with ${JSON.stringify(output.slice(0, 80))}, no version`);
  return version;
}

export function isNewEnough(version: string): boolean {
  return compareVersions(version, MIN_NATS_SERVER_VERSION) >= 0;
}

/** Compares numbers, not letters: 2.9 is older than 2.14. */
export function compareVersions(a: string, b: string): number {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
