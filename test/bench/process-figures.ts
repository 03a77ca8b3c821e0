import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

/** What the system says of a process. Only where there is a /proc. */

const KIB_PER_MIB = 1_024;
/** The unit of /proc/<pid>/stat: 1/100 s on every Linux that Node runs on. */
const TICK_MS = 10;

const SAMPLE_EVERY_MS = 1_000;
const SAMPLES_IN_A_ROW = 10;
const SAME_SHARE = 0.01;
const SETTLE_PATIENCE_MS = 60_000;

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

/** The memory of a process once it does not change any more: what was freed goes back to the system a while later. */
export async function settledMemoryOf(pid: number): Promise<ProcessMemory> {
  const deadline = performance.now() + SETTLE_PATIENCE_MS;
  const samples: number[] = [];
  for (;;) {
    const memory = await memoryOf(pid);
    samples.push(memory.residentMiB);
    const last = samples.slice(-SAMPLES_IN_A_ROW);
    const isSettled =
      last.length === SAMPLES_IN_A_ROW && Math.max(...last) - Math.min(...last) <= SAME_SHARE * memory.residentMiB;
    if (isSettled || performance.now() >= deadline) return memory;
    await pause(SAMPLE_EVERY_MS);
  }
}

/** Processor time since its start, its own and the system's on its behalf. */
export async function processorMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // `pid (name) state ppid … utime stime …`; the name may hold anything, so look behind its last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
