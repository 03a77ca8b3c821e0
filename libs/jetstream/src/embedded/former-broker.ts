import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/**
 * The pid of a nats-server that still runs on this store, from a former process of ours that was just killed; `undefined`
 * when there is none. nats-server itself does not lock its store: a second one would start, and both would write.
 */
export async function formerBroker(pidFile: string, storeDir: string): Promise<number | undefined> {
  const pid = Number((await readFile(pidFile, 'utf8').catch(() => '')).trim());
  if (!Number.isSafeInteger(pid) || pid <= 1 || !exists(pid)) return undefined;
  const command = await commandLine(pid);
  // Another program may have this pid by now. Only when no command line can be read, we assume that it is the broker.
  return command === undefined || command.includes(storeDir) ? pid : undefined;
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Empty for a process that has ended and that its parent has not collected yet. */
async function commandLine(pid: number): Promise<string | undefined> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
  } catch (error) {
    if (process.platform === 'linux') return (error as NodeJS.ErrnoException).code === 'ENOENT' ? '' : undefined;
  }
  try {
    return (await promisify(execFile)('ps', ['-ww', '-o', 'args=', '-p', String(pid)])).stdout;
  } catch {
    return undefined;
  }
}
