import { setTimeout as pause } from 'node:timers/promises';
import type { BenchBroker } from './bench-broker.js';
import { settledMemoryOf } from './process-figures.js';
import type { BenchWorker } from './workers.js';

/** The engine gives pages that a collection has freed back to the system some seconds later. */
const GIVEN_BACK_AFTER_MS = 12_000;
/** A worker forgets what has been idle for a minute. */
const FORGOTTEN_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 1_000;

export interface IdleMemory {
  /** As the system tells it, with all the garbage that nothing has made the engine collect. */
  readonly foundMiB: number;
  /** The same after a full collection: what the process needs. */
  readonly collectedMiB: number;
  /** What is left of its objects and buffers then. */
  readonly liveMiB: number;
}

/** The memory of a worker that has nothing to do, once it has forgotten the sessions that are idle. */
export async function idleMemoryOf(broker: BenchBroker, id: string, worker: BenchWorker): Promise<IdleMemory> {
  await untilForgotten(broker, id);
  const { residentMiB: foundMiB } = await settledMemoryOf(worker.pid);
  const liveMiB = await worker.collectGarbage();
  await pause(GIVEN_BACK_AFTER_MS);
  const { residentMiB: collectedMiB } = await settledMemoryOf(worker.pid);
  return { foundMiB, collectedMiB, liveMiB };
}

/** One that keeps its lanes for good is measured with them. */
async function untilForgotten(broker: BenchBroker, id: string): Promise<void> {
  const deadline = performance.now() + FORGOTTEN_WITHIN_MS;
  const lanes = async (): Promise<unknown> => (await broker.member(id))?.['lanes'] ?? 0;
  while ((await lanes()) !== 0 && performance.now() < deadline) await pause(LOOK_EVERY_MS);
}
