import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tempDir } from '#testing';
import { names, startBenchBroker, type BenchBroker } from '../bench-broker.js';
import { runThrough, turnsPerSecond } from '../live-turns.js';
import { countCost } from '../process-figures.js';
import { startProgram, type Program } from '../program.js';
import { untilQuiet } from '../quiet.js';
import type { Measured } from '../side-runs.js';
import { makeWork, type WorkSize } from '../work.js';
import { UNBOUNDED } from '../workers.js';

export interface StreamRun {
  readonly work: WorkSize;
  /** All messages are stored before the worker starts. */
  readonly isFull: boolean;
  readonly syncsEveryWrite: boolean;
}

/** Starts what takes the messages and writes the records. */
export type Start = (broker: BenchBroker, cwd: string) => Promise<Program>;

export function oursAtOnce(inFlight: number, profileDir: string | undefined): Start {
  return async (broker, cwd) => {
    const config = join(cwd, 'lanekeeper.json');
    await writeFile(config, JSON.stringify(UNBOUNDED));
    return await startProgram('test/bench/programs/worker.js', {
      cwd,
      profileDir,
      env: {
        LANEKEEPER_NATS_URL: broker.url,
        LANEKEEPER_CONFIG: config,
        LANEKEEPER_WORKER_CAPACITY: String(inFlight),
        LANEKEEPER_LOG_LEVEL: 'error',
      },
    });
  };
}

export function bareLoop(options: {
  readonly inFlight: number;
  readonly recordBytes: number;
  readonly channel: 'public' | 'ours';
}): Start {
  return (broker, cwd) =>
    startProgram('test/bench/programs/bare-loop.js', {
      cwd,
      args: [JSON.stringify({ natsUrl: broker.url, ...options })],
    });
}

/** One run against a fresh broker. The figures are differences of the broker's own stamps. */
export async function runOnStreams(
  start: Start,
  { work, isFull, syncsEveryWrite }: StreamRun,
): Promise<Measured & { recordBytes: number }> {
  const { warmup, messages } = makeWork(names, work);
  await untilQuiet();
  await using broker = await startBenchBroker(syncsEveryWrite ? { replicas: 1, syncsEveryWrite } : undefined);
  await using folder = await tempDir('bench');
  if (isFull) for (const part of [warmup, messages]) await broker.feed(part);
  await using program = await start(broker, folder.path);
  const run = { broker, program, warmup, messages };
  const measured = await (isFull ? drain(run) : takeLive(run));
  return { ...measured, recordBytes: await broker.bytesOf(names.turnsStream, warmup.length + messages.length) };
}

interface Running extends ReturnType<typeof makeWork> {
  readonly broker: BenchBroker;
  readonly program: Program;
}

async function takeLive({ broker, program, warmup, messages }: Running): Promise<Measured> {
  await broker.untilRead();
  await runThrough(broker, warmup, warmup.length);
  const costOf = await countCost({ worker: program.pid, broker: broker.pid });
  const perSecond = await turnsPerSecond(broker, messages, messages.length);
  return { perSecond, cost: await costOf(messages.length) };
}

/** The work goes on while the looks are taken, so the processor time is that of the records between two looks. */
async function drain({ broker, program, warmup, messages }: Running): Promise<Measured> {
  const { turnsStream } = names;
  const all = warmup.length + messages.length;
  await broker.untilStored(turnsStream, warmup.length);
  const warm = await broker.lastSeq(turnsStream);
  const costOf = await countCost({ worker: program.pid, broker: broker.pid });
  await broker.untilStored(turnsStream, all);
  const cost = await costOf(all - warm);
  const beganAtMs = await broker.storedAt(turnsStream, warmup.length);
  const perSecond = (messages.length * 1_000) / ((await broker.storedAt(turnsStream, all)) - beganAtMs);
  return { perSecond, cost };
}
