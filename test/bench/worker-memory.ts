import { setTimeout as pause } from 'node:timers/promises';
import type { BenchBroker } from './bench-broker.js';
import { memoryOf } from './process-figures.js';
import type { BenchWorker } from './workers.js';

/** A worker forgets what has been idle for a minute. */
const FORGOTTEN_WITHIN_MS = 120_000;
/** By then what was freed has to be the system's again, though nothing makes the engine collect. */
const GIVEN_BACK_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 1_000;
/** So long without a change is the end of it. */
const SAME_LOOKS = 10;
const SAME_SHARE = 0.01;

export interface IdleMemory {
  /** What the system says a minute later, without a collection that the bench asks for. */
  readonly atRestMiB: number;
  /** What is left of its objects and buffers after a full collection, which comes after that. */
  readonly liveMiB: number;
}

/**
 * The memory of a worker that has nothing to do, once it has forgotten the sessions that are idle. One that has come down
 * to `enoughMiB` and stays as it is, is not watched for the whole minute.
 */
export async function idleMemoryOf(
  broker: BenchBroker,
  { id, worker, enoughMiB }: { id: string; worker: BenchWorker; enoughMiB: number },
): Promise<IdleMemory> {
  await untilForgotten(broker, id);
  const deadline = performance.now() + GIVEN_BACK_WITHIN_MS;
  const looks: number[] = [];
  do {
    await pause(LOOK_EVERY_MS);
    looks.push((await memoryOf(worker.pid)).residentMiB);
  } while (!isAtRest(looks, enoughMiB) && performance.now() < deadline);
  return { atRestMiB: looks.at(-1) ?? Number.NaN, liveMiB: await worker.collectGarbage() };
}

function isAtRest(looks: readonly number[], enoughMiB: number): boolean {
  const last = looks.slice(-SAME_LOOKS);
  const [lowest, highest] = [Math.min(...last), Math.max(...last)];
  return last.length === SAME_LOOKS && highest <= enoughMiB && highest - lowest <= SAME_SHARE * highest;
}

/** One that keeps its lanes for good is measured with them. */
async function untilForgotten(broker: BenchBroker, id: string): Promise<void> {
  const deadline = performance.now() + FORGOTTEN_WITHIN_MS;
  // What it has said so far may be older than its last turns.
  await broker.untilRenewed(id);
  const lanes = async (): Promise<unknown> => (await broker.member(id))?.['lanes'] ?? 0;
  while ((await lanes()) !== 0 && performance.now() < deadline) await pause(LOOK_EVERY_MS);
}
