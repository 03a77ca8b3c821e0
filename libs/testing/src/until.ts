import { setTimeout as delay } from 'node:timers/promises';

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 100;

export interface UntilOptions {
  readonly timeoutMs?: number;
}

/**
 * Repeats `probe` until it returns a truthy value, and returns that value. For conditions without an event to wait for.
 * Do not use a fixed sleep: it is too short on a slow machine and too long on others. A probe that throws is repeated.
 */
export async function until<T>(
  describe: string,
  probe: () => T | Promise<T>,
  { timeoutMs = 30_000 }: UntilOptions = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  let last = 'no answer yet';
  let cause: unknown;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      const value = await withDeadline(probe, deadline);
      if (value) return value;
      [last, cause] = [`last value ${show(value)}`, undefined];
    } catch (error) {
      if (error !== OVERDUE) [last, cause] = [`last error ${String(error)}`, error];
    }
    if (performance.now() >= deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain until ${describe}: ${last}`, { cause });
    }
    await delay(Math.min(pauseMs, Math.max(1, deadline - performance.now())));
  }
}

const OVERDUE = new Error('the probe did not answer in time');

/** A probe that hangs, such as a request to a stopped process, must not exceed the timeout. */
async function withDeadline<T>(probe: () => T | Promise<T>, deadline: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(OVERDUE), Math.max(1, deadline - performance.now()));
  });
  try {
    return await Promise.race([Promise.resolve(probe()), overdue]);
  } finally {
    clearTimeout(timer);
  }
}

function show(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
