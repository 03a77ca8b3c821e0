// GroupMQ on the bench's work: `produce` adds jobs, `work` runs them with a handler that does nothing. Plain JavaScript,
// for it runs in the folder of the peers, whose packages our own type check does not have.
import { Redis } from 'ioredis';
import { Queue, Worker } from 'groupmq';

const { role, redisUrl, messages, sessions, warmup, inFlight, isFull } = JSON.parse(process.argv[2]);
const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
const queue = new Queue({ redis, namespace: 'bench' });
/** One clock for all processes of the machine, in milliseconds. */
const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

if (role === 'produce') {
  await addAll(Array.from({ length: warmup }, (_, i) => ({ groupId: `warm-${i}`, data: payload(i) })));
  // Fed while it runs, the counted work begins when the worker has done the warm-up.
  if (!isFull) await untilIdle();
  const jobs = Array.from({ length: messages }, (_, i) => ({ groupId: `session-${i % sessions}`, data: payload(i) }));
  console.log(`began ${nowMs()}`);
  await addAll(jobs);
  console.log('fed');
} else {
  let completed = 0;
  const worker = new Worker({ queue, concurrency: inFlight, handler: async () => {} });
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

function payload(i) {
  return { id: `m${i}`, text: `message number ${i} of the bench, of a usual length`, thread: `t${i}` };
}

/** 256 at a time on their way, as the bench feeds Lanekeeper. */
async function addAll(jobs) {
  let next = 0;
  const feeder = async () => {
    while (next < jobs.length) await queue.add(jobs[next++]);
  };
  await Promise.all(Array.from({ length: 256 }, feeder));
}
