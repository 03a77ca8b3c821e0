import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** V8 flags for processes that run turns. */
export const ENGINE_FLAGS = [
  // V8 allocates objects of a code location directly in the old generation when nearly all of its first objects
  // survived a collection. The young generation is small at the start, so objects of running turns survive and V8
  // learns this from objects that live for milliseconds. From then on each new one stays, with everything it refers to,
  // until the next full collection.
  '--no-allocation-site-pretenuring',
  // Waiting messages reach the old generation and are garbage a moment later. V8 lets that generation grow to four
  // times what survived its last collection. With half as much on top, a flood of new sessions took 420 MiB instead of
  // 670, at the same number of turns a second (docs/performance.md).
  '--heap-growing-percent=50',
];

/** Runs a full garbage collection. The process stands still meanwhile. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/** Call it first: the flags do not change what the engine has learned before. */
export function setEngineFlags(): void {
  for (const flag of ENGINE_FLAGS) setFlagsFromString(flag);
}
