import { startRedis, tempDir } from '#testing';
import { installPeers } from '../peers/install-peers.js';
import { startProgram } from '../program.js';
import { untilQuiet } from '../quiet.js';

export interface PeerWork {
  readonly messages: number;
  readonly sessions: number;
  readonly warmup: number;
  readonly inFlight: number;
}

/** Jobs a second that GroupMQ completes, each session a group of its own. */
export async function runGroupmq(work: PeerWork, { isFull }: { isFull: boolean }): Promise<number> {
  const folder = await installPeers();
  await untilQuiet();
  await using redis = await startRedis();
  await using scratch = await tempDir('bench');
  const start = (role: string) =>
    startProgram(`${folder}/groupmq.mjs`, {
      cwd: scratch.path,
      args: [JSON.stringify({ ...work, role, isFull, redisUrl: redis.url })],
    });
  await using producer = await start('produce');
  if (isFull) await producer.said('fed');
  await using worker = await start('work');
  const [warm, began, done] = await Promise.all([
    worker.said('warm'),
    isFull ? undefined : producer.said('began'),
    worker.said('done'),
  ]);
  return (work.messages * 1_000) / (Number(done) - Number(began ?? warm));
}

/** Messages a second that the Chat SDK handles, each session a thread of its own. */
export async function runChatSdk(work: PeerWork): Promise<number> {
  const folder = await installPeers();
  await untilQuiet();
  await using redis = await startRedis();
  await using scratch = await tempDir('bench');
  await using program = await startProgram(`${folder}/chat-sdk.mjs`, {
    cwd: scratch.path,
    args: [JSON.stringify({ ...work, redisUrl: redis.url })],
  });
  return (work.messages * 1_000) / Number(await program.said('done'));
}
