import type { SessionAnswer } from '#contracts';
import type { Lane } from './lane.js';

/** What a worker answers when it is asked about a session. `lane` is undefined for one that it has not seen. */
export function describeLane(
  lane: Lane | undefined,
  startedAt: number | undefined,
  now: number,
  worker: string,
): SessionAnswer {
  const batch = lane?.running;
  const retry = lane?.retry;
  const depth = lane?.depth ?? 0;
  const oldest = lane?.oldestWaiting;
  return {
    state: batch !== undefined ? 'running' : retry !== undefined ? 'retrying' : depth > 0 ? 'queued' : 'idle',
    depth,
    oldestMs: oldest === undefined ? null : Math.max(0, now - oldest.storedAtMs),
    ...(batch === undefined || startedAt === undefined
      ? {}
      : {
          running: {
            runId: batch.runId,
            attempt: batch.attempt,
            seqs: batch.items.map(({ seq }) => seq),
            startedAt,
          },
        }),
    ...(retry === undefined ? {} : { retry }),
    worker,
  };
}
