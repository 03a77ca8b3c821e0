import type { RunInWork, SessionAnswer } from '#contracts';
import type { Lane, LaneRun } from './lane.js';

/** When a run's turn began here, ms since the epoch; undefined when none is in work here. */
export type StartOf = (run: LaneRun) => number | undefined;

/**
 * What a worker answers when it is asked about a session. `lane` is undefined for one that it has not seen; `now`: ms since
 * the epoch.
 */
export function describeLane(lane: Lane | undefined, startOf: StartOf, now: number, worker: string): SessionAnswer {
  const hasNothing = lane === undefined || (lane.undecidedFrom === undefined && lane.handoff === undefined);
  // Also one that rests: it would make its parts anew to say so.
  if (hasNothing) return { state: 'idle', depth: 0, oldestMs: null, worker };
  const { oldestWaiting: oldest, backlog, depth, handoff } = lane;
  const retry = retryOf(lane);
  // Lanes wait by another clock.
  const onTheWall = (at: number | undefined): number | undefined =>
    at === undefined ? undefined : Math.round(at + lane.wallAheadMs);
  const endsAt = onTheWall(lane.serial.windowEndsAt);
  const gapEndsAt = onTheWall(lane.gapEndsAt(now - lane.wallAheadMs));
  return {
    state: stateOf(lane),
    depth,
    oldestMs: oldest === undefined ? null : Math.max(0, now - oldest.storedAtMs),
    ...describeRuns(lane, startOf),
    ...(retry === undefined ? {} : { retry }),
    ...(endsAt === undefined || endsAt <= now
      ? {}
      : { window: { seqs: lane.serialWaiting.map(({ seq }) => seq), endsAt } }),
    ...(gapEndsAt === undefined ? {} : { early: { seqs: backlog.early.map(({ seq }) => seq), endsAt: gapEndsAt } }),
    worker: handoff?.holder ?? worker,
  };
}

/** The turns of a lane that run here, also when another worker owns its shard. */
export function describeRuns(lane: Lane, startOf: StartOf): Pick<SessionAnswer, 'running' | 'concurrent'> {
  const running = describeRun(lane.serial, startOf);
  const beside = lane.hasConcurrentRuns ? [lane.concurrent] : [];
  const concurrent = [
    ...beside.flatMap(({ running: runs }) => runs.flatMap((run) => describeRun(run, startOf) ?? [])),
    ...beside.flatMap(({ frozen }) => frozen.flatMap(({ next }) => (next === undefined ? [] : [pendingRetry(next)]))),
  ];
  return { ...(running === undefined ? {} : { running }), ...(concurrent.length === 0 ? {} : { concurrent }) };
}

function describeRun(run: LaneRun, startOf: StartOf): SessionAnswer['running'] {
  const startedAt = startOf(run);
  if (run.batch === undefined || startedAt === undefined) return undefined;
  const { runId, attempt, items } = run.batch;
  return { runId, attempt, seqs: items.map(({ seq }) => seq), startedAt };
}

function pendingRetry({
  runId,
  attempt,
  seqs,
  notBefore,
}: RunInWork): NonNullable<SessionAnswer['concurrent']>[number] {
  return { runId, attempt, seqs, ...(notBefore === undefined ? {} : { notBefore }) };
}

function stateOf(lane: Lane): SessionAnswer['state'] {
  if (lane.handoff !== undefined) return 'held';
  if (lane.running.length > 0) return 'running';
  if (lane.isAgentMissing && lane.depth > 0) return 'waiting-for-agent';
  if (lane.frozenRuns.some(({ retryAt }) => retryAt !== undefined)) return 'retrying';
  return lane.depth > 0 ? 'queued' : 'idle';
}

function retryOf({ serial }: Lane): SessionAnswer['retry'] {
  const notBefore = serial.retryAt;
  if (notBefore === undefined || serial.next === undefined) return undefined;
  const { runId, attempt, seqs } = serial.next;
  return { runId, attempt, seqs, notBefore };
}
