import { PerformanceObserver, constants } from 'node:perf_hooks';
import { getHeapSpaceStatistics } from 'node:v8';
import { setEngineFlags } from '#roles';
import { MemoryWorker } from './memory-worker.fixture.js';

/**
 * A program for a process of its own: it runs turns as a worker does, on a store in memory, and counts what each leaves
 * behind in the old generation. Nothing collects that in between: what is read is all that has come there, garbage or not.
 */

export interface TurnMemory {
  readonly turns: number;
  /** How much the old generation grew, per turn. */
  readonly bytesPerTurn: number;
  /** Full collections while it was counted: with one of them the figure says nothing. */
  readonly majorCollections: number;
}

/** Few, so that what a session keeps of its last turn is replaced while it is young, and only leaks grow old. */
const SESSIONS = 1_024;

function oldBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name === 'old_space' || name === 'large_object_space')
    .reduce((sum, { space_used_size: bytes }) => sum + bytes, 0);
}

/** Twice: what has survived one of them stays in the young generation, and comes to the old one with the next. */
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
// Whatever still holds the event loop must not keep it.
process.exit();
