import { MemoryWorker } from './memory-worker.fixture.js';

/** A program for its own process. It fills a worker with sessions and measures the memory of each. */

/** Bytes of a session, each with one message if it waits. */
export interface LaneMemory {
  readonly idle: number;
  readonly waiting: number;
  readonly lacking: number;
}

const LANES = 20_000;
const WARM_UP = 2_000;

const never = (): Promise<never> => new Promise(() => {});

function liveBytes(): number {
  for (let i = 0; i < 2; i++) (globalThis.gc as () => void)();
  return process.memoryUsage().heapUsed;
}

/** Sessions that had a turn and have nothing to do. */
async function idleBytes(): Promise<number> {
  const worker = new MemoryWorker({ sessions: Number.MAX_SAFE_INTEGER, capacity: 64 });
  await worker.run(WARM_UP);
  const before = liveBytes();
  await worker.run(LANES);
  while (worker.lanes.running > 0) await new Promise((resolve) => setImmediate(resolve));
  return (liveBytes() - before) / LANES;
}

/** Sessions that wait for a slot, each with one message. */
async function waitingBytes(): Promise<number> {
  const worker = new MemoryWorker({ sessions: Number.MAX_SAFE_INTEGER, capacity: 1, handler: never });
  const fill = async (count: number): Promise<void> => {
    const goal = worker.lanes.waiting + count;
    for (let i = 0; i < count; i++) worker.receive();
    while (worker.lanes.waiting < goal - 1) await new Promise((resolve) => setImmediate(resolve));
  };
  await fill(WARM_UP);
  const before = liveBytes();
  await fill(LANES);
  return (liveBytes() - before) / LANES;
}

/** Sessions whose agent the worker lacks, each with one message. */
async function lackingBytes(): Promise<number> {
  const worker = new MemoryWorker({ sessions: Number.MAX_SAFE_INTEGER, capacity: 1, agent: 'away' });
  const fill = async (count: number): Promise<void> => {
    const goal = (worker.lanes.waitingForAgents['away'] ?? 0) + count;
    for (let i = 0; i < count; i++) worker.receive();
    while ((worker.lanes.waitingForAgents['away'] ?? 0) < goal) await new Promise((resolve) => setImmediate(resolve));
  };
  await fill(WARM_UP);
  const before = liveBytes();
  await fill(LANES);
  return (liveBytes() - before) / LANES;
}

const measured: LaneMemory = {
  ...{ idle: await idleBytes(), waiting: await waitingBytes(), lacking: await lackingBytes() },
};
console.log(`measured ${JSON.stringify(measured)}`);
process.exit();
