import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { endAllTracked, isRunning, track } from '#testing';

/** What a run makes on the machine itself, beside files and processes, and what the next run removes after a kill -9. */

const MARK = 'lk-chaos';
const run = promisify(execFile);

/** The machine does not let this run make what a fault needs. */
export class MachineLacksError extends Error {
  override readonly name = 'MachineLacksError';
}

/** The name that belongs to this run: who finds it later knows by it whether the run still goes on. */
export function nameOfRun(): string {
  return `${MARK}-${process.pid}`;
}

/** Whether a name is that of a run that is over. */
export function isLeftover(name: string): boolean {
  const pid = new RegExp(`^${MARK}-(\\d+)(-|$)`).exec(name)?.[1];
  return pid !== undefined && !isRunning(Number(pid));
}

/** After a signal too nothing is left: no process, no folder, no network and no disk. A second signal ends at once. */
export function endBySignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => void endAllTracked().finally(() => process.exit(1)));
  }
}

/** Runs a command of the system; its own words are in the error. */
export async function command(line: string): Promise<string> {
  const [program = '', ...args] = line.split(' ');
  const { stdout } = await run(program, args);
  return stdout;
}

/** The same while the process ends, when nothing can be waited for; what is not there any more is no problem. */
export function commandAtExit(line: string): void {
  const [program = '', ...args] = line.split(' ');
  try {
    execFileSync(program, args, { stdio: 'ignore' });
  } catch {
    // It may have been removed already, or never made.
  }
}

/**
 * Sees to it that something is removed from the machine: by the answer, else when the process ends, be it by an error or
 * by a signal. Only a kill -9 leaves it behind.
 */
export function removeAtExit(what: string, remove: () => void): () => void {
  const untrack = track(what, () => done());
  const done = (): void => {
    process.off('exit', remove);
    untrack();
    remove();
  };
  process.on('exit', remove);
  return done;
}
