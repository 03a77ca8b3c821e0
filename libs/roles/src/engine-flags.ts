import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Flags of V8 that a process needs that runs turns. */
export const ENGINE_FLAGS = [
  // V8 puts what a place of the code makes into the old generation when nearly all of its first objects have survived a
  // collection. While the young generation is as small as at a start, what turns under way hold does, so it learns that from
  // objects that live for milliseconds: from then on each of them stays, with all it refers to, until the next full collection.
  '--no-allocation-site-pretenuring',
  // What waits for its turn grows old, and is garbage a moment later. V8 lets the old generation grow to up to four times of
  // what lived at its last collection; with half as much on top a flood of new sessions took 420 MiB instead of 670, at the
  // same number of turns a second (docs/performance.md).
  '--heap-growing-percent=50',
];

/** Collects all garbage: the process stands still meanwhile. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/** Call it first of all: what the engine has learned before stays. */
export function setEngineFlags(): void {
  for (const flag of ENGINE_FLAGS) setFlagsFromString(flag);
}
