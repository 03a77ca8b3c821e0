import { tempDir } from '#testing';
import type { BenchOptions } from '../options.js';
import { names, startBenchBroker, type BenchBroker } from '../bench-broker.js';
import { runThrough, turnsPerSecond } from '../live-turns.js';
import { startProgram, type Program } from '../program.js';
import { untilQuiet } from '../quiet.js';
import type { Comparison, Figures } from '../targets.js';
import { makeWork, warmupOf } from '../work.js';
import { runChatSdk, runGroupmq } from './peer-turns.js';

const IN_FLIGHT = 64;

type Start = (broker: BenchBroker, cwd: string, recordBytes: number) => Promise<Program>;
interface Side {
  readonly perSecond: number;
  readonly recordBytes: number;
}

/** Committed turns a second: ours, a bare loop, and the peers, one after another in every run. */
export async function measureTurns(options: BenchOptions): Promise<Comparison[]> {
  const worker: Start = (broker, cwd) =>
    startProgram('test/bench/programs/worker.js', {
      cwd,
      profileDir: options.profileDir,
      env: {
        LANEKEEPER_NATS_URL: broker.url,
        LANEKEEPER_WORKER_CAPACITY: String(IN_FLIGHT),
        LANEKEEPER_LOG_LEVEL: 'error',
      },
    });
  const bareLoop: Start = (broker, cwd, recordBytes) =>
    startProgram('test/bench/programs/bare-loop.js', {
      cwd,
      args: [JSON.stringify({ natsUrl: broker.url, recordBytes, inFlight: IN_FLIGHT })],
    });

  const { messages, sessions } = options;
  const work = { messages, sessions, warmup: warmupOf(options), inFlight: IN_FLIGHT };
  const live = { ours: [] as number[], bare: [] as number[] };
  const drain = { ours: [] as number[], bare: [] as number[] };
  const groupmq = new PeerFigures();
  const groupmqDrain = new PeerFigures();
  const chatSdk = new PeerFigures();
  for (let run = 0; run < options.runs; run++) {
    options.say(`turns, run ${run + 1} of ${options.runs}`);
    const ours = await runOnStreams(worker, options, { isFull: false, recordBytes: 0 });
    live.ours.push(ours.perSecond);
    const { recordBytes } = ours;
    live.bare.push((await runOnStreams(bareLoop, options, { isFull: false, recordBytes })).perSecond);
    await groupmq.add(() => runGroupmq(work, { isFull: false }));
    await chatSdk.add(() => runChatSdk(work));
    drain.ours.push((await runOnStreams(worker, options, { isFull: true, recordBytes })).perSecond);
    drain.bare.push((await runOnStreams(bareLoop, options, { isFull: true, recordBytes })).perSecond);
    await groupmqDrain.add(() => runGroupmq(work, { isFull: true }));
  }
  return [
    { target: 'turnsBare', ours: live.ours, baseline: live.bare },
    { target: 'turnsGroupmq', ours: live.ours, baseline: groupmq.figures },
    { target: 'turnsChatSdk', ours: live.ours, baseline: chatSdk.figures },
    { target: 'drainBare', ours: drain.ours, baseline: drain.bare },
    { target: 'drainGroupmq', ours: drain.ours, baseline: groupmqDrain.figures },
  ];
}

/** Runs of a peer: one that fails is a reason, and never the end of the bench. */
class PeerFigures {
  figures: Figures = [];

  async add(run: () => Promise<number>): Promise<void> {
    if ('notMeasured' in this.figures) return;
    try {
      this.figures = [...this.figures, await run()];
    } catch (error) {
      const [reason = 'unknown'] = String((error as Error).message).split('\n');
      process.stderr.write(`${String((error as Error).message)}\n`);
      this.figures = { notMeasured: reason };
    }
  }
}

/** One run against a fresh broker. The figures are differences of the broker's own stamps. */
async function runOnStreams(
  start: Start,
  options: BenchOptions,
  { isFull, recordBytes }: { isFull: boolean; recordBytes: number },
): Promise<Side> {
  const { warmup, messages } = makeWork(names, options);
  const { turnsStream } = names;
  const all = warmup.length + messages.length;
  await untilQuiet();
  await using broker = await startBenchBroker();
  await using folder = await tempDir('bench');
  if (isFull) for (const part of [warmup, messages]) await broker.feed(part);
  await using _program = await start(broker, folder.path, recordBytes);
  let perSecond: number;
  if (isFull) {
    await broker.untilStored(turnsStream, all);
    const beganAtMs = await broker.storedAt(turnsStream, warmup.length);
    perSecond = (messages.length * 1_000) / ((await broker.storedAt(turnsStream, all)) - beganAtMs);
  } else {
    await broker.untilRead();
    await runThrough(broker, warmup, warmup.length);
    perSecond = await turnsPerSecond(broker, messages, messages.length);
  }
  return { perSecond, recordBytes: await broker.bytesOf(turnsStream, all) };
}
