import { startRedis, tempDir, type RedisKeeps } from '#testing';
import { installPeers } from '../peers/install-peers.js';
import { countCost } from '../process-figures.js';
import { startProgram, type Program } from '../program.js';
import { untilQuiet } from '../quiet.js';
import type { Measured } from '../side-runs.js';
import type { WorkSize } from '../work.js';

export interface PeerRun {
  readonly work: WorkSize;
  readonly inFlight: number;
  readonly keeps: RedisKeeps;
}

/** Jobs a second that a queue on Redis completes, with a process that adds them and one that runs them. */
export async function runRedisQueue(
  kind: 'groupmq' | 'bullmq',
  { work, inFlight, keeps, isFull }: PeerRun & { isFull: boolean },
): Promise<Measured> {
  const folder = await installPeers();
  await untilQuiet();
  await using redis = await startRedis({ keeps });
  await using scratch = await tempDir('bench');
  const start = (role: string) =>
    startProgram(`${folder}/redis-queue.mjs`, {
      cwd: scratch.path,
      args: [JSON.stringify({ ...work, inFlight, kind, role, isFull, redisUrl: redis.url })],
    });
  await using producer = await start('produce');
  if (isFull) await producer.said('fed');
  await using worker = await start('work');
  const warmAtMs = Number(await worker.said('warm'));
  const costOf = await countCost({ worker: worker.pid, broker: redis.pid });
  const beganAtMs = isFull ? warmAtMs : Number(await producer.said('began'));
  return await endOf(worker, work, beganAtMs, costOf);
}

/** Messages a second that the Chat SDK handles, each session a thread of its own. */
export async function runChatSdk({ work, inFlight, keeps }: PeerRun): Promise<Measured> {
  const folder = await installPeers();
  await untilQuiet();
  await using redis = await startRedis({ keeps });
  await using scratch = await tempDir('bench');
  await using program = await startProgram(`${folder}/chat-sdk.mjs`, {
    cwd: scratch.path,
    args: [JSON.stringify({ ...work, inFlight, redisUrl: redis.url })],
  });
  const beganAtMs = Number(await program.said('warm'));
  const costOf = await countCost({ worker: program.pid, broker: redis.pid });
  return await endOf(program, work, beganAtMs, costOf);
}

/** From its beginning to the line with which the program says that all is done. */
export async function endOf(
  program: Program,
  { messages }: WorkSize,
  beganAtMs: number,
  costOf: Awaited<ReturnType<typeof countCost>>,
): Promise<Measured> {
  const doneAtMs = Number(await program.said('done'));
  return { perSecond: (messages * 1_000) / (doneAtMs - beganAtMs), cost: await costOf(messages) };
}
