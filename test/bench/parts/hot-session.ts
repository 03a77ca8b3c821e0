import { setTimeout as pause } from 'node:timers/promises';
import { until } from '#testing';
import { names, type BenchBroker } from '../bench-broker.js';
import type { BenchOptions } from '../options.js';
import { memoryOf } from '../process-figures.js';
import { percentile } from '../statistics.js';
import type { Comparison } from '../targets.js';
import { TimedLoad } from '../timed-load.js';
import { makeMessage, type Message } from '../work.js';
import { withWorkers, type Workers } from '../workers.js';

const HOT = 'hot';
const hotKey = names.sessionTokens('main', HOT);
/** A turn for each message, and none of them is dropped. */
const SETTINGS = { agents: { main: { strategy: 'fifo', maxQueueSize: 'unlimited' } } };
/** So much text that bodies which are kept would show: 80 MiB for the 20,000 messages of a run as it is by default. */
const TEXT = 'x'.repeat(4_096);
const SLOW_TURN_MS = 20;

/** A message of some other session of the same shard every 4 ms. */
const OTHERS = 100;
const EVERY_MS = 400;

const WARMUP_MS = 5_000;
const WINDOW_MS = 20_000;
/** From the last waiting message on: until all of them are read. */
const SETTLE_MS = 3_000;
/** So many of its turns are slow as last beyond the window, and the others end at once, or a run would last for minutes. */
const SLOW_MS = 40_000;
const SLOW_TURNS = SLOW_MS / SLOW_TURN_MS;
/** What is under way at the end of a window still counts. */
const STRAGGLERS_MS = 2_000;
const DONE_WITHIN_MS = 300_000;

interface HotRun {
  readonly p50: number;
  readonly p99: number;
  readonly quietP50: number;
  readonly quietP99: number;
  readonly turnsPerSecond: number;
  readonly burstP50: number;
  readonly burstP99: number;
  readonly memoryBeforeMiB: number;
  readonly memoryPeakMiB: number;
  readonly liveBeforeMiB: number;
  readonly liveMiB: number;
  readonly liveAfterMiB: number;
}

/** What a session with a long backlog and a slow agent costs the others of its shard, and the worker. */
export async function measureHotSession(options: BenchOptions): Promise<Comparison[]> {
  const runs: HotRun[] = [];
  const { profileDir } = options;
  for (let run = 0; run < options.runs; run++) {
    options.say(`hot-session, run ${run + 1} of ${options.runs}`);
    runs.push(await withWorkers({ profileDir, settings: SETTINGS }, (workers) => overload(workers, options)));
  }
  const of = (what: keyof HotRun): number[] => runs.map((run) => run[what]);
  const waiting = `${options.hotMessages.toLocaleString('en')} messages waiting`;
  return [
    { target: 'hotP50', ours: of('p50'), baseline: of('quietP50') },
    { target: 'hotP99', ours: of('p99'), baseline: of('quietP99') },
    { target: 'burstP50', ours: of('burstP50'), baseline: of('quietP50') },
    { target: 'burstP99', ours: of('burstP99'), baseline: of('quietP99') },
    { target: 'hotTurns', ours: of('turnsPerSecond'), baseline: runs.map(() => 1_000 / SLOW_TURN_MS) },
    { target: 'hotLive', of: waiting, ours: of('liveMiB'), baseline: of('liveBeforeMiB') },
    { target: 'hotAfter', ours: of('liveAfterMiB'), baseline: of('liveBeforeMiB') },
    { target: 'hotPeak', of: waiting, ours: of('memoryPeakMiB'), baseline: of('memoryBeforeMiB') },
  ];
}

/** The same load on the other sessions all the time; between the two windows the hot one gets its messages. */
async function overload({ broker, start, untilShared }: Workers, options: BenchOptions): Promise<HotRun> {
  const { hotMessages: count, say } = options;
  await using worker = await start('worker');
  await untilShared('worker');
  await using load = await TimedLoad.start(broker, { sessions: othersOfShard(), everyMs: EVERY_MS });
  await pause(WARMUP_MS);
  const quiet = await waitsOfWindow(load);
  const { residentMiB: memoryBeforeMiB } = await memoryOf(worker.pid);
  const liveBeforeMiB = await worker.collectGarbage();

  const fedSinceMs = performance.now();
  await broker.feed(hotMessages(count));
  const fedUntilMs = performance.now();
  await pause(SETTLE_MS);
  const [doneBefore, hotSinceMs] = [await hotTurnsDone(broker), performance.now()];
  const hot = await waitsOfWindow(load);
  const done = await hotTurnsDone(broker);
  const turnsPerSecond = ((done - doneBefore) * 1_000) / (performance.now() - hotSinceMs);
  const liveMiB = await worker.collectGarbage();
  if (done >= SLOW_TURNS) throw new Error('the slow turns of the hot session were over too soon');
  const isDone = async (): Promise<boolean> => (await hotTurnsDone(broker)) === count;
  await until('the hot session has nothing left to do', isDone, { timeoutMs: DONE_WITHIN_MS });
  await load.stop();
  const { peakMiB: memoryPeakMiB } = await memoryOf(worker.pid);
  const liveAfterMiB = await worker.collectGarbage();

  const burst = load.waitsUs(fedSinceMs, fedUntilMs);
  say(`its ${count} messages came in ${Math.round(fedUntilMs - fedSinceMs)} ms`);
  return {
    ...{ p50: percentile(hot, 0.5), p99: percentile(hot, 0.99) },
    ...{ quietP50: percentile(quiet, 0.5), quietP99: percentile(quiet, 0.99) },
    turnsPerSecond,
    ...{ burstP50: percentile(burst, 0.5), burstP99: percentile(burst, 0.99) },
    ...{ memoryBeforeMiB, memoryPeakMiB, liveBeforeMiB, liveMiB, liveAfterMiB },
  };
}

async function waitsOfWindow(load: TimedLoad): Promise<number[]> {
  const beganAtMs = performance.now();
  await pause(WINDOW_MS);
  const endedAtMs = performance.now();
  await pause(STRAGGLERS_MS);
  return load.waitsUs(beganAtMs, endedAtMs);
}

function* hotMessages(count: number): Generator<Message> {
  for (let i = 0; i < count; i++) {
    const data = i < SLOW_TURNS ? { sleepMs: SLOW_TURN_MS } : {};
    yield makeMessage(names, HOT, i, { text: TEXT, data });
  }
}

/** Its messages are decided one after another, so the last one that was tells how many. */
async function hotTurnsDone(broker: BenchBroker): Promise<number> {
  const [last] = await broker.lastOf(names.turnsStream, [names.turnsSubject(hotKey)]);
  if (last === undefined) return 0;
  const { messages } = JSON.parse(Buffer.from(last.data).toString()) as { messages: { id: string }[] };
  return Number(messages.at(-1)?.id.slice(1)) + 1;
}

function othersOfShard(): string[] {
  const others: string[] = [];
  for (let i = 0; others.length < OTHERS; i++) {
    const { shard } = names.sessionTokens('main', `other-${i}`);
    if (shard === hotKey.shard) others.push(`other-${i}`);
  }
  return others;
}
