// A queue on Redis on the bench's work: `produce` adds jobs, `work` runs them with a handler that does nothing. Plain
// JavaScript, for it runs in the folder of the peers, whose packages our own type check does not have.
import * as bullmq from 'bullmq';
import * as groupmq from 'groupmq';
import { Redis } from 'ioredis';
import { feed, nowMs, sessionsInTurn, warmupSessionOf } from './bench-work.mjs';

const { kind, role, redisUrl, messages, sessions, warmup, inFlight, isFull } = JSON.parse(process.argv[2]);
const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });

const KINDS = {
  // Each session is a group, whose jobs run one after another.
  groupmq: () => {
    const queue = new groupmq.Queue({ redis, namespace: 'bench' });
    return {
      queue,
      add: (groupId, data) => queue.add({ groupId, data }),
      makeWorker: () => new groupmq.Worker({ queue, concurrency: inFlight, handler: async () => {} }),
    };
  },
  // One queue: groups are not in the open-source version, and a queue for each session would need a worker for each.
  bullmq: () => {
    const queue = new bullmq.Queue('bench', { connection: redis });
    const options = { connection: redis, concurrency: inFlight, autorun: false };
    return {
      queue,
      add: (session, data) => queue.add('turn', { session, ...data }, { removeOnComplete: true }),
      makeWorker: () => new bullmq.Worker('bench', async () => {}, options),
    };
  },
};
const { queue, add, makeWorker } = KINDS[kind]();

if (role === 'produce') {
  await feed(warmup, warmupSessionOf, add);
  // Fed while it runs, the counted work begins when the worker has done the warm-up.
  if (!isFull) await untilIdle();
  console.log(`began ${nowMs()}`);
  await feed(messages, sessionsInTurn(sessions), add);
  console.log('fed');
} else {
  let completed = 0;
  const worker = makeWorker();
  worker.on('completed', () => {
    completed++;
    if (completed === warmup) console.log(`warm ${nowMs()}`);
    if (completed === warmup + messages) console.log(`done ${nowMs()}`);
  });
  void worker.run();
  console.log('ready');
}

async function untilIdle() {
  for (;;) {
    const { waiting, active } = await queue.getJobCounts();
    if (waiting + active === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
