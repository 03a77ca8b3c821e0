import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { names, type ServerOptions } from '../bench-broker.js';
import { runThrough, turnsPerSecond } from '../live-turns.js';
import type { BenchOptions } from '../options.js';
import { median } from '../statistics.js';
import type { Comparison } from '../targets.js';
import { TimedLoad } from '../timed-load.js';
import { makeWork, partOfWork } from '../work.js';
import { withWorkers } from '../workers.js';

const IN_FLIGHT = 64;
/** Of the messages of other parts: each waits for the disk, or for two other servers. */
const SHARE = 1 / 4;
/** Far below what any of them can do, so that a message waits for nothing but its own way. */
const TIMED_SESSIONS = Array.from({ length: 100 }, (_, i) => `timed-${i}`);
const TIMED_EVERY_MS = 500;
const TIMED_MS = 5_000;

interface Kind {
  readonly name: string;
  readonly servers: ServerOptions;
}

const PLAIN: Kind = { name: 'one server', servers: { replicas: 1, syncsEveryWrite: false } };
const SAFER: readonly Kind[] = [
  { name: 'one server, each write synced', servers: { replicas: 1, syncsEveryWrite: true } },
  { name: 'three servers', servers: { replicas: 3, syncsEveryWrite: false } },
  { name: 'three servers, each write synced', servers: { replicas: 3, syncsEveryWrite: true } },
];

interface Figures {
  readonly perSecond: number;
  readonly waitUs: number;
}

/** What it costs to have every write on three servers, or on the disk, before it is acknowledged. */
export async function measureReplicas(options: BenchOptions): Promise<Comparison[]> {
  options.say(`replicas: the servers of a cluster share the ${availableParallelism()} cores of this machine`);
  const figures = new Map<Kind, Figures[]>();
  for (let run = 0; run < options.runs; run++) {
    for (const kind of [PLAIN, ...SAFER]) {
      options.say(`replicas, ${kind.name}, run ${run + 1} of ${options.runs}`);
      figures.set(kind, [...(figures.get(kind) ?? []), await runOn(kind.servers, options)]);
    }
  }
  const of = (kind: Kind, what: keyof Figures): number[] => (figures.get(kind) ?? []).map((run) => run[what]);
  const against = (target: 'replicasTurns' | 'replicasWait', what: keyof Figures): Comparison[] =>
    SAFER.map((kind) => ({ target, of: kind.name, ours: of(kind, what), baseline: of(PLAIN, what) }));
  return [...against('replicasTurns', 'perSecond'), ...against('replicasWait', 'waitUs')];
}

function runOn(servers: ServerOptions, options: BenchOptions): Promise<Figures> {
  const { profileDir } = options;
  return withWorkers({ servers, capacity: IN_FLIGHT, profileDir }, async ({ broker, start, untilShared }) => {
    await using _worker = await start('worker');
    await untilShared('worker');
    const { warmup, messages } = makeWork(names, partOfWork(options, SHARE));
    await runThrough(broker, warmup, warmup.length);
    const perSecond = await turnsPerSecond(broker, messages, messages.length);
    await using load = await TimedLoad.start(broker, { sessions: TIMED_SESSIONS, everyMs: TIMED_EVERY_MS });
    // Each session's first message has to read its head, and is another measure.
    await pause(TIMED_EVERY_MS);
    const beganAtMs = performance.now();
    await pause(TIMED_MS);
    const endedAtMs = performance.now();
    await load.stop();
    return { perSecond, waitUs: median(load.waitsUs(beganAtMs, endedAtMs)) };
  });
}
