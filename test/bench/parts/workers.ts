import { names } from '../bench-broker.js';
import { runThrough, turnsPerSecond } from '../live-turns.js';
import type { BenchOptions } from '../options.js';
import type { Comparison } from '../targets.js';
import { makeWork, type WorkSize } from '../work.js';
import { withWorkers, type BenchWorker } from '../workers.js';

/** Turns of agents that wait for something outside take nothing of the processors: what they need is room. */
const WAITING_TURN_MS = 50;
const WAITING_AT_ONCE = 50;
const WAITING_RUN_S = 5;
const WAITING_PER_WORKER = (WAITING_RUN_S * WAITING_AT_ONCE * 1_000) / WAITING_TURN_MS;

const BUSY_AT_ONCE = 64;

/** Committed turns a second of two and of four workers on one broker, beside those of one. */
export async function measureWorkers(options: BenchOptions): Promise<Comparison[]> {
  const waiting = { one: [] as number[], two: [] as number[], four: [] as number[] };
  const busy = { one: [] as number[], two: [] as number[], four: [] as number[] };
  for (let run = 0; run < options.runs; run++) {
    options.say(`workers, run ${run + 1} of ${options.runs}`);
    for (const [name, count] of [['one', 1] as const, ['two', 2] as const, ['four', 4] as const]) {
      waiting[name].push(await runWaiting(options, count));
      busy[name].push(await runBusy(options, count));
    }
  }
  return [
    { target: 'twoWaiting', ours: waiting.two, baseline: waiting.one },
    { target: 'fourWaiting', ours: waiting.four, baseline: waiting.one },
    { target: 'twoBusy', ours: busy.two, baseline: busy.one },
    { target: 'fourBusy', ours: busy.four, baseline: busy.one },
  ];
}

/** As many turns for each worker, so that a run lasts as long however many there are. */
function runWaiting(options: BenchOptions, workers: number): Promise<number> {
  const messages = WAITING_PER_WORKER * workers;
  return run(options, {
    ...{ workers, messages, sessions: messages, warmup: messages / 4 },
    ...{ turnMs: WAITING_TURN_MS, capacity: WAITING_AT_ONCE },
  });
}

function runBusy(options: BenchOptions, workers: number): Promise<number> {
  const { messages, sessions, warmup } = options;
  return run(options, { workers, messages, sessions, warmup, turnMs: 0, capacity: BUSY_AT_ONCE });
}

interface Run extends WorkSize {
  readonly workers: number;
  readonly turnMs: number;
  readonly capacity: number;
}

function run({ profileDir }: BenchOptions, { workers: count, turnMs, capacity, ...size }: Run): Promise<number> {
  return withWorkers({ turnMs, capacity, profileDir }, async ({ broker, start, untilShared }) => {
    await using stack = new AsyncDisposableStack();
    const ids = Array.from({ length: count }, (_, i) => `worker-${i}`);
    const workers: BenchWorker[] = await Promise.all(ids.map(start));
    for (const worker of workers) stack.use(worker);
    await untilShared(...ids);
    const { warmup, messages } = makeWork(names, size);
    await runThrough(broker, warmup, warmup.length);
    // Awaited: the workers end with this block.
    return await turnsPerSecond(broker, messages, messages.length);
  });
}
