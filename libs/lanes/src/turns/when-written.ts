import type { Lane } from '../lane/lane.js';

/**
 * Goes on when no record of the lane is on its way: in the moment in which that is so, since others wait for it too.
 * `failed`: going on has thrown.
 */
export function whenWritten(lane: Lane, resume: () => void, failed: (error: unknown) => void): void {
  const { writing } = lane;
  if (writing === undefined) return resume();
  const again = (): void => {
    try {
      whenWritten(lane, resume, failed);
    } catch (error) {
      failed(error);
    }
  };
  writing.then(again, again);
}
