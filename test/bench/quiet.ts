import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

const LOOK_MS = 500;
const QUIET_SHARE = 0.1;

let patienceMs = 30_000;

let worstShare = 0;

/** Each run waits so long at most. On a machine that others never leave alone, waiting only makes the bench longer. */
export function setPatience(ms: number): void {
  patienceMs = ms;
}

/**
 * Waits until others leave the processors alone, for a while. Call it when nothing of the bench runs: a load that takes
 * one side's core and not the other's makes a ratio that says nothing, and a low baseline makes it look good.
 */
export async function untilQuiet(): Promise<void> {
  const deadline = performance.now() + patienceMs;
  let share = await busyShare();
  while (share > QUIET_SHARE && performance.now() < deadline) share = await busyShare();
  worstShare = Math.max(worstShare, share);
}

/** How busy others kept the machine when a run began all the same, of the runs since the last time it was asked. */
export function takeOthersLoad(): string {
  const share = worstShare;
  worstShare = 0;
  const percent = `${Math.round(share * 100)} % of the processors at the start of a run`;
  return share > QUIET_SHARE ? `up to ${percent}: the figures are not to be trusted` : `at most ${percent}`;
}

async function busyShare(): Promise<number> {
  const before = times();
  await pause(LOOK_MS);
  const after = times();
  return 1 - (after.idle - before.idle) / (after.total - before.total);
}

function times(): { idle: number; total: number } {
  const all = cpus().map((cpu) => cpu.times);
  const sum = (values: readonly number[]): number => values.reduce((left, right) => left + right, 0);
  return { idle: sum(all.map(({ idle }) => idle)), total: sum(all.flatMap((cpu) => Object.values(cpu))) };
}
