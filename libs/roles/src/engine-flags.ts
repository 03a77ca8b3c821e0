import { setFlagsFromString } from 'node:v8';

/** How the engine of a process is set that runs turns. Call it first of all: what it has learned before stays. */
export function setEngineFlags(): void {
  // V8 puts what a place of the code makes into the old generation when nearly all of its first objects have survived a
  // collection. While the young generation is as small as at a start, what turns under way hold does, so it learns that from
  // objects that live for milliseconds: from then on each of them stays, with all it refers to, until the next full collection.
  setFlagsFromString('--no-allocation-site-pretenuring');
}
