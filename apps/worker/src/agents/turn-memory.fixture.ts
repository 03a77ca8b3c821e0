import { PerformanceObserver, constants } from 'node:perf_hooks';
import { getHeapSpaceStatistics } from 'node:v8';
import { setEngineFlags } from '#roles';
import { MemoryWorker } from './memory-worker.fixture.js';

/**
 * A program for its own process. It runs turns as a worker does, on a store in memory, and counts the bytes that each
 * leaves in the old generation. No collection runs in between, so the figure includes garbage.
 */

export interface TurnMemory {
  readonly turns: number;
  /** Growth of the old generation per turn. */
  readonly bytesPerTurn: number;
  /** Full collections during the count. With one of them the figure is invalid. */
  readonly majorCollections: number;
}

/** Few sessions, so that the data of a session's last turn is replaced while it is young, and only leaks grow old. */
const SESSIONS = 1_024;

function oldBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name === 'old_space' || name === 'large_object_space')
    .reduce((sum, { space_used_size: bytes }) => sum + bytes, 0);
}

/** Twice: objects that survive one collection stay in the young generation, and move to the old one with the next. */
function collectYoung(): void {
  for (let i = 0; i < 2; i++) void (globalThis.gc as (options: object) => void)({ type: 'minor' });
}

async function measure(warmUp: number, turns: number): Promise<TurnMemory> {
  const worker = new MemoryWorker({ sessions: SESSIONS, capacity: 64 });
  await worker.run(warmUp);
  collectYoung();
  let majorCollections = 0;
  const count = (entries: readonly object[]): void => {
    for (const { detail } of entries as readonly { readonly detail: { readonly kind: number } }[]) {
      if (detail.kind !== constants.NODE_PERFORMANCE_GC_MINOR) majorCollections++;
    }
  };
  const observer = new PerformanceObserver((list) => count(list.getEntries()));
  observer.observe({ entryTypes: ['gc'] });
  const before = oldBytes();
  await worker.run(turns);
  collectYoung();
  const bytesPerTurn = (oldBytes() - before) / turns;
  count(observer.takeRecords());
  return { turns, bytesPerTurn, majorCollections };
}

setEngineFlags();
console.log(`measured ${JSON.stringify(await measure(10_000, 30_000))}`);
// An open handle must not keep the process alive.
process.exit();
