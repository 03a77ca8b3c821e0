import { startBroker, tempDir } from '#testing';
import type { BenchOptions } from '../options.js';
import { startProgram } from '../program.js';
import { untilQuiet } from '../quiet.js';
import { percentile } from '../statistics.js';
import type { Comparison, TargetName } from '../targets.js';

/** Of each kind: p99 is then the thirtieth from the top. */
const SAMPLES = 3_000;

/** How each figure comes out of the samples of a run, by target. */
const FIGURES: readonly { target: TargetName; kind: 'known' | 'unread'; share: number }[] = [
  { target: 'idleP50', kind: 'known', share: 0.5 },
  { target: 'idleP99', kind: 'known', share: 0.99 },
  { target: 'newP50', kind: 'unread', share: 0.5 },
  { target: 'newP99', kind: 'unread', share: 0.99 },
];

type Samples = Readonly<Record<'known' | 'unread' | 'bare', readonly number[]>>;

/** The time that a message waits though nothing else is to do. */
export async function measureIdle(options: BenchOptions): Promise<Comparison[]> {
  const runs: Samples[] = [];
  for (let run = 0; run < options.runs; run++) {
    options.say(`idle, run ${run + 1} of ${options.runs}`);
    runs.push(await sampleOnce());
  }
  return FIGURES.map(({ target, kind, share }) => ({
    target,
    ours: runs.map((samples) => percentile(samples[kind], share)),
    baseline: runs.map((samples) => percentile(samples.bare, share)),
  }));
}

async function sampleOnce(): Promise<Samples> {
  await untilQuiet();
  await using broker = await startBroker();
  await using folder = await tempDir('bench');
  await using program = await startProgram('test/bench/programs/idle.js', {
    cwd: folder.path,
    args: [JSON.stringify({ natsUrl: broker.url, samples: SAMPLES })],
  });
  return JSON.parse(await program.said('done')) as Samples;
}
