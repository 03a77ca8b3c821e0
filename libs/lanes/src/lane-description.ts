import type { SessionAnswer } from '#contracts';
import type { Lane } from './lane.js';

/** What a worker answers when it is asked about a session. `lane` is undefined for one that it has not seen. */
export function describeLane(
  lane: Lane | undefined,
  startedAt: number | undefined,
  now: number,
  worker: string,
): SessionAnswer {
  const oldest = lane?.oldestWaiting;
  const depth = lane?.backlog.depth ?? 0;
  const retry = retryOf(lane);
  const endsAt = lane?.windowEndsAt;
  const running = describeRun(lane, startedAt);
  return {
    state: stateOf(lane, depth),
    depth,
    oldestMs: oldest === undefined ? null : Math.max(0, now - oldest.storedAtMs),
    ...(running === undefined ? {} : { running }),
    ...(retry === undefined ? {} : { retry }),
    ...(endsAt === undefined || endsAt <= now || lane === undefined
      ? {}
      : { window: { seqs: lane.backlog.waiting.map(({ seq }) => seq), endsAt } }),
    worker: lane?.hold?.holder ?? worker,
  };
}

/** The turn of a lane that runs here, also when its shard is somebody else's. */
export function describeRun(lane: Lane | undefined, startedAt: number | undefined): SessionAnswer['running'] {
  const batch = lane?.running;
  if (batch === undefined || startedAt === undefined) return undefined;
  return { runId: batch.runId, attempt: batch.attempt, seqs: batch.items.map(({ seq }) => seq), startedAt };
}

function stateOf(lane: Lane | undefined, depth: number): SessionAnswer['state'] {
  if (lane?.hold !== undefined) return 'held';
  if (lane?.running !== undefined) return 'running';
  if (retryOf(lane) !== undefined) return 'retrying';
  return depth > 0 ? 'queued' : 'idle';
}

function retryOf(lane: Lane | undefined): SessionAnswer['retry'] {
  const notBefore = lane?.retryAt;
  if (notBefore === undefined || lane?.nextRun === undefined) return undefined;
  const { runId, attempt, seqs } = lane.nextRun;
  return { runId, attempt, seqs, notBefore };
}
