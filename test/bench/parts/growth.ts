import { until } from '#testing';
import { names, type BenchBroker } from '../bench-broker.js';
import { GrowingSessions, sessionsOfAllShards } from '../growing-sessions.js';
import { turnsPerSecond, runThrough } from '../live-turns.js';
import type { BenchOptions } from '../options.js';
import { countCost, memoryOf, type TurnCost } from '../process-figures.js';
import { describeCost } from '../side-runs.js';
import { TARGETS, type Comparison, type TargetName } from '../targets.js';
import { idleMemoryOf, type IdleMemory } from '../worker-memory.js';
import type { Message } from '../work.js';
import { withWorkers, type BenchWorker, type Workers } from '../workers.js';

const SMALLEST = 1_000;
const WORKER = 'worker';

/** What a store with so many sessions makes of the same work. */
interface Figures extends Turns {
  readonly idle: IdleMemory;
  readonly brokerMiB: number;
  readonly restartMs: number;
  /** Of sessions that there were not before, by a worker that has just come. */
  readonly ofNew: Turns;
}

interface Turns {
  readonly perSecond: number;
  readonly cost: TurnCost;
}

/** From a thousand sessions to a million: what becomes of turns, restarts and memory. */
export async function measureGrowth(options: BenchOptions): Promise<Comparison[]> {
  const sizes = sizesUpTo(options);
  const figures = new Map(sizes.map((size) => [size, [] as Figures[]]));
  const fresh: number[] = [];
  const { profileDir } = options;
  for (let run = 0; run < options.runs; run++) {
    const { atRestMiB } = await withWorkers({ profileDir }, freshMemory);
    fresh.push(atRestMiB);
    for (const size of sizes) {
      options.say(`growth, ${show(size)}, run ${run + 1} of ${options.runs}`);
      const enoughMiB = atRestMiB + TARGETS.growthAtRest.atMostAbove;
      figures
        .get(size)
        ?.push(await withWorkers({ profileDir }, (workers) => grow(workers, { size, enoughMiB, options })));
    }
  }
  type Pick = (run: Figures) => number;
  const of = (size: number, pick: Pick): number[] => (figures.get(size) ?? []).map(pick);
  const besideSmallest = (target: TargetName, pick: Pick): Comparison[] =>
    sizes.slice(1).map((size) => ({ target, of: show(size), ours: of(size, pick), baseline: of(SMALLEST, pick) }));
  return [
    ...besideSmallest('growthWorker', ({ cost }) => cost.workerUs),
    ...besideSmallest('growthProcessor', ({ cost }) => sumOf(cost)),
    ...besideSmallest('growthNewProcessor', ({ ofNew }) => sumOf(ofNew.cost)),
    ...besideSmallest('growthTurns', ({ perSecond }) => perSecond),
    ...besideSmallest('growthRestart', ({ restartMs }) => restartMs),
    ...sizes.map((size): Comparison => {
      return { target: 'growthAtRest', of: show(size), ours: of(size, ({ idle }) => idle.atRestMiB), baseline: fresh };
    }),
    ...besideSmallest('growthLive', ({ idle }) => idle.liveMiB),
    ...besideSmallest('growthBroker', ({ brokerMiB }) => brokerMiB),
  ];
}

interface Growth {
  readonly size: number;
  /** What the worker may keep when it is idle. */
  readonly enoughMiB: number;
  readonly options: BenchOptions;
}

async function grow(workers: Workers, { size: sessions, enoughMiB, options }: Growth): Promise<Figures> {
  const { broker, start, untilShared } = workers;
  const { growthTurns: turns, say } = options;
  await using first = await start(WORKER);
  await untilShared(WORKER);
  const store = new GrowingSessions();
  const warmup = Math.ceil(turns / 2);
  await runThrough(broker, store.more(sessions), sessions);
  await runThrough(broker, store.again(warmup), warmup);
  const ofKnown = await measureWork(broker, first, store.again(turns), turns);
  const { peakMiB } = await memoryOf(first.pid);
  const idle = await idleMemoryOf(broker, { id: WORKER, worker: first, enoughMiB });
  const { residentMiB: brokerMiB } = await memoryOf(broker.pid);

  await first.kill9();
  const startedAtMs = Date.now();
  await using second = await start(WORKER);
  const readyMs = Date.now() - startedAtMs;
  const restartMs = (await lastAnswerOfAllShards(broker, store)) - startedAtMs;
  await runThrough(broker, store.more(warmup), warmup);
  const ofNew = await measureWork(broker, second, store.more(turns), turns);
  say(`${show(sessions)}: ${round(idle.atRestMiB)} MiB at rest`);
  say(
    `${show(sessions)}, known: ${describe(ofKnown)}; new: ${describe(ofNew)}; peak of the worker ${round(peakMiB)} MiB`,
  );
  say(`${show(sessions)}: ready ${readyMs} ms after the start, an answer of each shard after ${round(restartMs)} ms`);
  return { ...ofKnown, ofNew, restartMs, idle, brokerMiB };
}

/** Of a worker that owns all shards, and has had no session yet. */
async function freshMemory({ broker, start, untilShared }: Workers): Promise<IdleMemory> {
  await using worker = await start(WORKER);
  await untilShared(WORKER);
  return await idleMemoryOf(broker, { id: WORKER, worker, enoughMiB: 0 });
}

async function measureWork(
  broker: BenchBroker,
  worker: BenchWorker,
  messages: Iterable<Message>,
  count: number,
): Promise<Turns> {
  const costOf = await countCost({ worker: worker.pid, broker: broker.pid });
  const perSecond = await turnsPerSecond(broker, messages, count);
  return { perSecond, cost: await costOf(count) };
}

function sumOf({ workerUs, brokerUs }: TurnCost): number {
  return workerUs + brokerUs;
}

/** A message to a session of each shard; resolves with the time of the last answer, by the broker's clock. */
async function lastAnswerOfAllShards(broker: BenchBroker, store: GrowingSessions): Promise<number> {
  const probed = sessionsOfAllShards();
  const subjects = probed.map((session) => names.turnsSubject(names.sessionTokens('main', session)));
  const seqs = await Promise.all(probed.map((session) => broker.publish(store.next(session))));
  const lowest = Math.min(...seqs);
  return await until('all shards have answered', async () => {
    const records = await broker.lastOf(names.turnsStream, subjects);
    const decidedUpTo = records.map(({ data }) => (JSON.parse(Buffer.from(data).toString()) as { upto: number }).upto);
    if (records.length < subjects.length || decidedUpTo.some((upto) => upto < lowest)) return undefined;
    return Math.max(...records.map(({ storedAtMs }) => storedAtMs));
  });
}

/** A thousand, so many times more each time, and the most. */
function sizesUpTo({ growthSessions: most, growthFactor }: BenchOptions): number[] {
  const sizes: number[] = [];
  for (let size = SMALLEST; size < most; size *= growthFactor) sizes.push(size);
  return [...sizes, Math.max(most, SMALLEST)];
}

function describe({ perSecond, cost }: Turns): string {
  return `${round(perSecond)} turns/s, ${describeCost(cost)} in worker and broker`;
}

function round(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function show(sessions: number): string {
  return `${sessions.toLocaleString('en')} sessions`;
}
