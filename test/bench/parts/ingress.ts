import autocannon from 'autocannon';
import { startBroker, tempDir } from '#testing';
import type { BenchOptions } from '../options.js';
import { startProgram } from '../program.js';
import { untilQuiet } from '../quiet.js';
import type { Comparison } from '../targets.js';

const CONNECTIONS = 64;
const WARMUP_S = 2;
const MEASURED_S = 5;
/** As many different paths; more would only make the load's own memory the measure. */
const PATHS = 1_000;

/** Requests a second that ingress stores, beside a route that stores nothing. */
export async function measureIngress(options: BenchOptions): Promise<Comparison[]> {
  const ours: number[] = [];
  const baseline: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    options.say(`ingress, run ${run + 1} of ${options.runs}`);
    ours.push(await runOurs(options));
    baseline.push(await runBare());
  }
  return [{ target: 'ingress', ours, baseline }];
}

async function runOurs({ profileDir }: BenchOptions): Promise<number> {
  await untilQuiet();
  await using broker = await startBroker();
  await using folder = await tempDir('bench');
  await using ingress = await startProgram('apps/ingress/src/main.js', {
    cwd: folder.path,
    profileDir,
    env: { LANEKEEPER_NATS_URL: broker.url, LANEKEEPER_HTTP_PORT: '0', LANEKEEPER_LOG_LEVEL: 'error' },
  });
  // Awaited: what is used here ends with this block.
  return await load(await ingress.said('ready'));
}

async function runBare(): Promise<number> {
  await untilQuiet();
  await using folder = await tempDir('bench');
  await using bare = await startProgram('test/bench/programs/bare-fastify.js', { cwd: folder.path });
  return await load(await bare.said('ready'));
}

async function load(url: string): Promise<number> {
  await fire(url, WARMUP_S);
  const { duration, non2xx, errors, '2xx': stored } = await fire(url, MEASURED_S);
  if (non2xx > 0 || errors > 0) throw new Error(`${url} answered ${non2xx} times with an error, ${errors} not at all`);
  return stored / duration;
}

function fire(url: string, duration: number): Promise<autocannon.Result> {
  const requests = Array.from({ length: PATHS }, (_, i) => ({
    method: 'POST' as const,
    path: `/v1/agents/main/sessions/session-${i}/messages`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ text: `message number ${i} of the bench, of a usual length`, thread: `t${i}` }),
  }));
  return autocannon({ url, connections: CONNECTIONS, duration, requests });
}
