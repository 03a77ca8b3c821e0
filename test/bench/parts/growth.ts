import { until } from '#testing';
import { names, type BenchBroker } from '../bench-broker.js';
import { GrowingSessions, sessionsOfAllShards } from '../growing-sessions.js';
import { turnsPerSecond, runThrough } from '../live-turns.js';
import type { BenchOptions } from '../options.js';
import { memoryOf, processorMsOf } from '../process-figures.js';
import type { Comparison, TargetName } from '../targets.js';
import { idleMemoryOf, type IdleMemory } from '../worker-memory.js';
import type { Message } from '../work.js';
import { withWorkers, type BenchWorker, type Workers } from '../workers.js';

const SMALLEST = 1_000;
const TIMES = 10;
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
  /** Processor time of a turn. */
  readonly workerUs: number;
  readonly brokerUs: number;
}

/** From a thousand sessions to a million: what becomes of turns, restarts and memory. */
export async function measureGrowth(options: BenchOptions): Promise<Comparison[]> {
  const sizes = sizesUpTo(options.growthSessions);
  const figures = new Map(sizes.map((size) => [size, [] as Figures[]]));
  const fresh: IdleMemory[] = [];
  const { profileDir } = options;
  for (let run = 0; run < options.runs; run++) {
    fresh.push(await withWorkers({ profileDir }, freshMemory));
    for (const size of sizes) {
      options.say(`growth, ${show(size)}, run ${run + 1} of ${options.runs}`);
      figures.get(size)?.push(await withWorkers({ profileDir }, (workers) => grow(workers, size, options)));
    }
  }
  type Pick = (run: Figures) => number;
  const of = (size: number, pick: Pick): number[] => (figures.get(size) ?? []).map(pick);
  const besideSmallest = (target: TargetName, pick: Pick): Comparison[] =>
    sizes.slice(1).map((size) => ({ target, of: show(size), ours: of(size, pick), baseline: of(SMALLEST, pick) }));
  return [
    ...besideSmallest('growthProcessor', costOf),
    ...besideSmallest('growthNewProcessor', ({ ofNew }) => costOf(ofNew)),
    ...besideSmallest('growthTurns', ({ perSecond }) => perSecond),
    ...besideSmallest('growthNewTurns', ({ ofNew }) => ofNew.perSecond),
    ...besideSmallest('growthRestart', ({ restartMs }) => restartMs),
    ...besideSmallest('growthMemory', ({ idle }) => idle.collectedMiB),
    {
      ...{ target: 'growthFirst', of: show(SMALLEST) },
      ...{ ours: of(SMALLEST, ({ idle }) => idle.collectedMiB), baseline: fresh.map((memory) => memory.collectedMiB) },
    },
    ...besideSmallest('growthLive', ({ idle }) => idle.liveMiB),
    ...besideSmallest('growthFound', ({ idle }) => idle.foundMiB),
    ...besideSmallest('growthBroker', ({ brokerMiB }) => brokerMiB),
  ];
}

async function grow(workers: Workers, sessions: number, { growthTurns: turns, say }: BenchOptions): Promise<Figures> {
  const { broker, start, untilShared } = workers;
  await using first = await start(WORKER);
  await untilShared(WORKER);
  const store = new GrowingSessions();
  const warmup = Math.ceil(turns / 2);
  await runThrough(broker, store.more(sessions), sessions);
  await runThrough(broker, store.again(warmup), warmup);
  const ofKnown = await measureWork(broker, first, store.again(turns), turns);
  const { peakMiB } = await memoryOf(first.pid);
  const idle = await idleMemoryOf(broker, WORKER, first);
  const { residentMiB: brokerMiB } = await memoryOf(broker.pid);

  await first.kill9();
  const startedAtMs = Date.now();
  await using second = await start(WORKER);
  const readyMs = Date.now() - startedAtMs;
  const restartMs = (await lastAnswerOfAllShards(broker, store)) - startedAtMs;
  await runThrough(broker, store.more(warmup), warmup);
  const ofNew = await measureWork(broker, second, store.more(turns), turns);
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
  return await idleMemoryOf(broker, WORKER, worker);
}

async function measureWork(
  broker: BenchBroker,
  worker: BenchWorker,
  messages: Iterable<Message>,
  count: number,
): Promise<Turns> {
  const [ofWorker, ofBroker] = [await processorMsOf(worker.pid), await processorMsOf(broker.pid)];
  const perSecond = await turnsPerSecond(broker, messages, count);
  const each = (ms: number): number => (ms * 1_000) / count;
  const workerUs = each((await processorMsOf(worker.pid)) - ofWorker);
  return { perSecond, workerUs, brokerUs: each((await processorMsOf(broker.pid)) - ofBroker) };
}

function costOf({ workerUs, brokerUs }: Turns): number {
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

/** Powers of ten below the most, and the most. */
function sizesUpTo(most: number): number[] {
  const sizes: number[] = [];
  for (let size = SMALLEST; size < most; size *= TIMES) sizes.push(size);
  return [...sizes, Math.max(most, SMALLEST)];
}

function describe({ perSecond, workerUs, brokerUs }: Turns): string {
  return `${round(perSecond)} turns/s, ${round(workerUs)} µs in the worker, ${round(brokerUs)} in the broker`;
}

function round(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function show(sessions: number): string {
  return `${sessions.toLocaleString('en')} sessions`;
}
