import { startBroker, tempDir } from '#testing';
import type { Latencies, Way } from '../guard-load.js';
import type { BenchOptions } from '../options.js';
import { startProgram } from '../program.js';
import { untilQuiet } from '../quiet.js';
import { percentile } from '../statistics.js';
import type { Comparison, TargetName } from '../targets.js';

const PER_SECOND = 500;
const ROUNDS = 6;
/** An entry of the guard, as this load makes it. */
const ENTRY_BYTES = 320;
const BOUND_US = 50_000;

/** How each figure comes out of the latencies of a run, by target. */
const FIGURES: readonly { target: TargetName; way: Way; share: number }[] = [
  { target: 'guardP50', way: 'nats', share: 0.5 },
  { target: 'guardP99', way: 'nats', share: 0.99 },
  { target: 'guardHttpP50', way: 'http', share: 0.5 },
  { target: 'guardHttpP99', way: 'http', share: 0.99 },
];

/** The time that a caller waits for a task, or for the word that another caller has it. */
export async function measureGuard(options: BenchOptions): Promise<Comparison[]> {
  const runs: Latencies[] = [];
  for (let run = 0; run < options.runs; run++) {
    options.say(`guard, run ${run + 1} of ${options.runs}`);
    runs.push(await runOnce(options));
  }
  const figuresOf = (way: Way, share: number): number[] => runs.map((took) => percentile(took[way], share));
  return [
    ...FIGURES.map(({ target, way, share }) => ({
      target,
      ours: figuresOf(way, share),
      baseline: figuresOf('bare', share),
    })),
    { target: 'guardBound', ours: figuresOf('nats', 0.99), baseline: runs.map(() => BOUND_US) },
  ];
}

async function runOnce({ profileDir }: BenchOptions): Promise<Latencies> {
  await untilQuiet();
  await using broker = await startBroker();
  await using folder = await tempDir('bench');
  const natsUrl = broker.url;
  const cwd = folder.path;
  await using guard = await startProgram('apps/guard/src/main.js', {
    ...{ cwd, profileDir },
    env: { LANEKEEPER_NATS_URL: natsUrl, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' },
  });
  const httpUrl = await guard.said('ready');
  await using bare = await startProgram('test/bench/programs/bare-guard.js', {
    cwd,
    args: [JSON.stringify({ natsUrl, entryBytes: ENTRY_BYTES })],
  });
  await bare.said('ready');
  await using calls = await startProgram('test/bench/programs/guard-calls.js', {
    cwd,
    args: [JSON.stringify({ natsUrl, httpUrl, perSecond: PER_SECOND, rounds: ROUNDS })],
  });
  return JSON.parse(await calls.said('done')) as Latencies;
}
