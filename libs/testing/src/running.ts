import { readFileSync } from 'node:fs';

/**
 * Whether a process runs. A process that ended but was not collected by its parent still has its number, and `kill -0`
 * alone would call it alive. Where there is a /proc, the state `Z` shows it.
 */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  if (process.platform !== 'linux') return true;
  try {
    // `pid (name) state …`. The name may contain any character, so look after its last bracket.
    const state = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0];
    return state !== 'Z' && state !== 'X';
  } catch {
    return false;
  }
}
