import { readFile } from 'node:fs/promises';

/** What the system says of a process. Only where there is a /proc. */

const KIB_PER_MIB = 1_024;
/** The unit of /proc/<pid>/stat: 1/100 s on every Linux that Node runs on. */
const TICK_MS = 10;

export interface ProcessMemory {
  /** What the process holds of the machine's memory, its share of mapped files included. */
  readonly residentMiB: number;
  /** The most that it ever held. */
  readonly peakMiB: number;
}

export async function memoryOf(pid: number): Promise<ProcessMemory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => {
    const [, kib] = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
    if (kib === undefined) throw new Error(`/proc/${pid}/status has no ${name}`);
    return Number(kib) / KIB_PER_MIB;
  };
  return { residentMiB: field('VmRSS'), peakMiB: field('VmHWM') };
}

/** Processor time since its start, its own and the system's on its behalf. */
async function processorMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // `pid (name) state ppid … utime stime …`; the name may hold anything, so look behind its last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Processor time that a turn takes, all threads of a process and what the system does on its behalf. */
export interface TurnCost {
  readonly workerUs: number;
  /** Of the process that stores what the worker does. */
  readonly brokerUs: number;
}

/** Counts from now on; the answer says what each of so many turns took since. */
export async function countCost(pids: {
  worker: number;
  broker: number;
}): Promise<(turns: number) => Promise<TurnCost>> {
  const [worker, broker] = [await processorMsOf(pids.worker), await processorMsOf(pids.broker)];
  return async (turns) => {
    const each = (ms: number): number => (ms * 1_000) / turns;
    const workerUs = each((await processorMsOf(pids.worker)) - worker);
    return { workerUs, brokerUs: each((await processorMsOf(pids.broker)) - broker) };
  };
}
