import { setTimeout as pause } from 'node:timers/promises';
import { readHistory, type DecidedMessage } from '../history.js';
import type { BenchOptions } from '../options.js';
import { median } from '../statistics.js';
import { SteadyLoad } from '../steady-load.js';
import type { Comparison } from '../targets.js';
import { withWorkers, type Workers, type WorkersOptions } from '../workers.js';

const SESSIONS = Array.from({ length: 200 }, (_, i) => `session-${i}`);
/** Renewals in one time to live, as by default: what is sent as often is not more than a session's queue takes. */
const RENEWALS = 5;

/** During a move: close enough that every session has a message in any stall worth the name. */
const EVERY_MS = 250;
const WARMUP_MS = 4_000;
const BEFORE_MS = 500;
const AFTER_MS = 3_000;
const HANDOFF_BOUND_MS = 200;
const BUSY_TURN_MS = 50;

/** The longest waits of one run, in ms. */
interface HandoffRun {
  readonly join: number;
  readonly quietBeforeJoin: number;
  readonly leave: number;
  readonly quietBeforeLeave: number;
}

/** How long sessions wait when the owner of their shards dies, joins or stops. */
export async function measureOwnership(options: BenchOptions): Promise<Comparison[]> {
  const takeovers: (readonly number[])[] = [];
  const idle: HandoffRun[] = [];
  const busy: HandoffRun[] = [];
  for (let run = 0; run < options.runs; run++) {
    options.say(`ownership, run ${run + 1} of ${options.runs}`);
    const stage = stageOf(options);
    takeovers.push(await withWorkers(stage, (workers) => takeOver(workers, options)));
    idle.push(await withWorkers(stage, (workers) => handOver(workers, options)));
    busy.push(await withWorkers({ ...stage, turnMs: BUSY_TURN_MS }, (workers) => handOver(workers, options)));
  }
  const ttl = takeovers.map(() => options.ttlMs);
  const bound = takeovers.map(() => HANDOFF_BOUND_MS);
  const of = (runs: readonly HandoffRun[], what: keyof HandoffRun) => runs.map((run) => run[what]);
  return [
    { target: 'takeoverWorst', ours: takeovers.map((waits) => Math.max(...waits)), baseline: ttl },
    { target: 'takeoverMedian', ours: takeovers.map(median), baseline: ttl },
    { target: 'joinBound', ours: of(idle, 'join'), baseline: bound },
    { target: 'joinQuiet', ours: of(idle, 'join'), baseline: of(idle, 'quietBeforeJoin') },
    { target: 'leaveBound', ours: of(idle, 'leave'), baseline: bound },
    { target: 'leaveQuiet', ours: of(idle, 'leave'), baseline: of(idle, 'quietBeforeLeave') },
    { target: 'busyJoinBound', ours: of(busy, 'join'), baseline: bound },
    { target: 'busyJoinQuiet', ours: of(busy, 'join'), baseline: of(busy, 'quietBeforeJoin') },
    { target: 'busyLeaveBound', ours: of(busy, 'leave'), baseline: bound },
    { target: 'busyLeaveQuiet', ours: of(busy, 'leave'), baseline: of(busy, 'quietBeforeLeave') },
  ];
}

function stageOf({ ttlMs, profileDir }: BenchOptions): WorkersOptions {
  return { profileDir, settings: { membership: { ttlMs, renewMs: Math.floor(ttlMs / RENEWALS) } } };
}

/** Per session of the worker that is killed: from the kill to its first record by the other one. */
async function takeOver(workers: Workers, { ttlMs, say }: BenchOptions): Promise<number[]> {
  const { broker } = workers;
  const everyMs = ttlMs / RENEWALS;
  await using _survivor = await workers.start('survivor');
  await using victim = await workers.start('victim');
  await workers.untilShared('survivor', 'victim');
  await using load = new SteadyLoad(broker, { sessions: SESSIONS, everyMs });
  // A worker that has not itself stood for a whole time to live judges no other.
  await pause(ttlMs + everyMs);
  await broker.untilRenewed('victim');
  const killedAt = Date.now();
  await victim.kill9();
  await workers.untilShared('survivor');
  await pause(everyMs);
  await load.stop();

  const history = await readHistory(broker, { mayRunAgain: true });
  const ofVictim = new Set(history.filter(({ worker }) => worker === 'victim').map(({ session }) => session));
  const waits = new Map<string, number>();
  for (const { session, worker, decidedAtMs } of history) {
    if (worker === 'survivor' && ofVictim.has(session) && !waits.has(session))
      waits.set(session, decidedAtMs - killedAt);
  }
  if (ofVictim.size === 0 || waits.size < ofVictim.size) {
    throw new Error(`the survivor wrote into ${waits.size} of ${ofVictim.size} sessions of the dead worker`);
  }
  const values = [...waits.values()];
  say(`takeover of ${values.length} sessions: ${Math.min(...values)} to ${Math.max(...values)} ms after the kill`);
  return values;
}

/** From one worker to two, then to the second one alone, under load. */
async function handOver(workers: Workers, { say }: BenchOptions): Promise<HandoffRun> {
  const { broker } = workers;
  await using first = await workers.start('first');
  await workers.untilShared('first');
  await using load = new SteadyLoad(broker, { sessions: SESSIONS, everyMs: EVERY_MS });
  await pause(WARMUP_MS + 2 * BEFORE_MS + AFTER_MS);
  const startedAt = Date.now();
  const joined = broker.untilRenewed('second').then(() => Date.now());
  await using _second = await workers.start('second');
  const joinedAt = await joined;
  const joinEndedAt = await endOfMove(workers, joinedAt, 'first', 'second');
  await pause(WARMUP_MS + 2 * BEFORE_MS + AFTER_MS);
  const leftAt = Date.now();
  const [leaveEndedAt] = await Promise.all([endOfMove(workers, leftAt, 'second'), first.stop()]);
  await load.stop();

  const history = await readHistory(broker, { mayRunAgain: false });
  const longest = (what: string, fromMs: number, toMs: number): number => {
    const within = history.filter(({ storedAtMs }) => storedAtMs >= fromMs && storedAtMs <= toMs);
    if (within.length === 0) throw new Error(`${what}: no message was stored meanwhile`);
    const waits = within.map(waitOf);
    const moved = firstOfNewOwners(within).map(waitOf);
    const atMove = moved.length === 0 ? '' : `, of those that changed the owner of a session ${Math.max(...moved)} ms`;
    say(`${what}: longest wait ${Math.max(...waits)} ms${atMove}, usual one ${median(waits)} ms`);
    return Math.max(...waits);
  };
  const before = (beganAt: number): [number, number] => [beganAt - 2 * BEFORE_MS - AFTER_MS, beganAt - BEFORE_MS];
  return {
    quietBeforeJoin: longest('before the join', ...before(startedAt)),
    join: longest('join', joinedAt - BEFORE_MS, joinEndedAt),
    quietBeforeLeave: longest('before the stop', ...before(leftAt)),
    leave: longest('stop', leftAt - BEFORE_MS, leaveEndedAt),
  };
}

/** Of each session the first message that another worker decided than the one before. */
function firstOfNewOwners(history: readonly DecidedMessage[]): DecidedMessage[] {
  const owners = new Map<string, string>();
  const isFirst = ({ session, worker }: DecidedMessage): boolean => {
    const former = owners.get(session) ?? worker;
    owners.set(session, worker);
    return former !== worker;
  };
  return history.toSorted((a, b) => a.seq - b.seq).filter(isFirst);
}

function waitOf({ storedAtMs, decidedAtMs }: DecidedMessage): number {
  return decidedAtMs - storedAtMs;
}

/** Three seconds after it began, or when it is over, should that last longer. */
async function endOfMove(workers: Workers, beganAt: number, ...owners: string[]): Promise<number> {
  await workers.untilShared(...owners);
  await pause(Math.max(0, beganAt + AFTER_MS - Date.now()));
  return Date.now();
}
