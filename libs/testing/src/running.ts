import { readFileSync } from 'node:fs';

/**
 * Whether a process works. One that has ended but was not collected yet by its parent still has its number, so that
 * `kill -0` alone would call it alive; where there is a /proc, its state `Z` tells.
 */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  if (process.platform !== 'linux') return true;
  try {
    // `pid (name) state …`; the name may hold anything, so look behind its last bracket.
    const state = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0];
    return state !== 'Z' && state !== 'X';
  } catch {
    return false;
  }
}
