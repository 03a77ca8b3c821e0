import { GrowingSessions } from '../growing-sessions.js';
import { turnsPerSecond } from '../live-turns.js';
import type { BenchOptions } from '../options.js';
import { memoryOf } from '../process-figures.js';
import type { Comparison } from '../targets.js';
import { withWorkers, type Workers } from '../workers.js';

const BOUND_MIB = 600;

/** The most memory that a worker takes while messages of new sessions come faster than it can take them. */
export async function measureFlood(options: BenchOptions): Promise<Comparison[]> {
  const { runs, profileDir, floodSessions, say } = options;
  const peaks: number[] = [];
  for (let run = 0; run < runs; run++) {
    say(`flood, run ${run + 1} of ${runs}`);
    peaks.push(await withWorkers({ profileDir }, (workers) => flood(workers, options)));
  }
  const of = `${floodSessions.toLocaleString('en')} new sessions`;
  return [{ target: 'flood', of, ours: peaks, baseline: peaks.map(() => BOUND_MIB) }];
}

/** As many turns at once as by default. */
async function flood({ broker, start, untilShared }: Workers, { floodSessions, say }: BenchOptions): Promise<number> {
  await using worker = await start('worker');
  await untilShared('worker');
  const { residentMiB } = await memoryOf(worker.pid);
  const perSecond = await turnsPerSecond(broker, new GrowingSessions().more(floodSessions), floodSessions);
  const { peakMiB } = await memoryOf(worker.pid);
  say(`${Math.round(perSecond)} turns/s; ${Math.round(residentMiB)} MiB before, at most ${Math.round(peakMiB)} MiB`);
  return peakMiB;
}
