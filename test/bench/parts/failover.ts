import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseRecord } from '#contracts';
import { applyTopology, BrokerConnection, declareTopology, KeyBucket, PublishChannel, StreamReader } from '#jetstream';
import { KeyLeaseStore } from '#shards';
import { startBrokerCluster, tempDir, until, type TestBrokerCluster } from '#testing';
import { log, names } from '../bench-broker.js';
import type { BenchOptions } from '../options.js';
import { startProgram, type Program } from '../program.js';
import { untilQuiet } from '../quiet.js';
import { median } from '../statistics.js';
import type { Comparison } from '../targets.js';
import { makeMessage } from '../work.js';
import { UNBOUNDED } from '../workers.js';

const NODES = 3;
const RENEWALS = 5;
/** Whatever the elections do: two of them may fail one after another. */
const TAKEN_WITHIN_MS = 60_000;
/** Who died with its node had the word in all of what a takeover needs. */
const LED_STREAMS = [`KV_${names.membersBucket}`, `KV_${names.shardsBucket}`, names.inboxStream, names.turnsStream];

/**
 * Takeover when a worker and its broker node are killed in the same moment, and that node led the members, the shards and both
 * streams. Elections begin with the time to live of the dead worker, so a takeover that waits for one more is seen here.
 */
export async function measureFailover(options: BenchOptions): Promise<Comparison[]> {
  const { failoverRounds, ttlMs, say } = options;
  await untilQuiet();
  await using cluster = await startBrokerCluster(NODES, { syncsEveryWrite: false });
  await using stage = await openStage(cluster, ttlMs);
  const waits: number[] = [];
  for (let round = 0; round < failoverRounds; round++) {
    const waitMs = await stage.failOver(round % NODES);
    say(`failover, round ${round + 1} of ${failoverRounds}: all sessions went on ${waitMs} ms after the kill`);
    waits.push(waitMs);
  }
  const baseline = [ttlMs];
  return [
    { target: 'failoverWorst', ours: [Math.max(...waits)], baseline },
    { target: 'failoverMedian', ours: [median(waits)], baseline },
  ];
}

interface Stage extends AsyncDisposable {
  /** Kills the worker and its node, waits until each of its shards has a turn at another worker, and brings both back. */
  failOver(victim: number): Promise<number>;
}

async function openStage(cluster: TestBrokerCluster, ttlMs: number): Promise<Stage> {
  const folder = await tempDir('failover');
  const connection = await BrokerConnection.open({ url: cluster.nodes[0]?.url ?? '', name: 'bench', log });
  await until('the streams are there', async () => {
    await applyTopology(connection, declareTopology(names, { replicas: NODES, dedupWindowMs: 900_000 }), log);
    return true;
  });
  const channel = new PublishChannel(connection, { timeoutMs: 500 });
  const reader = new StreamReader(connection, { timeoutMs: 500 });
  const bucket = new KeyBucket(connection, channel, reader, names.shardsBucket, log);
  const leases = new KeyLeaseStore(connection, bucket, names.shards);
  const config = join(folder.path, 'lanekeeper.json');
  const membership = { ttlMs, renewMs: Math.floor(ttlMs / RENEWALS) };
  await writeFile(config, JSON.stringify({ ...UNBOUNDED, membership, nats: { replicas: NODES } }));
  const workers: Program[] = [];
  const start = async (node: number): Promise<void> => {
    const env = {
      LANEKEEPER_NATS_URL: cluster.nodes[node]?.url ?? '',
      LANEKEEPER_CONFIG: config,
      LANEKEEPER_LOG_LEVEL: 'error',
      LANEKEEPER_WORKER_ID: `w${node}`,
    };
    const worker = await startProgram('test/bench/programs/worker.js', { cwd: folder.path, args: ['0'], env });
    workers[node] = worker;
    await worker.said('ready');
  };
  const shardsOf = async (worker: string): Promise<number[]> =>
    [...(await leases.readAll())].flatMap(([shard, { lease }]) =>
      lease.owner?.startsWith(`${worker}/`) === true ? [shard] : [],
    );
  const untilShared = (): Promise<unknown> =>
    until('all have their share', async () => {
      const shares = await Promise.all(workers.map((_, node) => shardsOf(`w${node}`)));
      const least = Math.floor(names.shards / NODES);
      return shares.flat().length === names.shards && shares.every((shards) => shards.length >= least);
    });
  for (let node = 0; node < NODES; node++) await start(node);
  const sessions = sessionsByShard();
  let sent = 0;
  return {
    async failOver(victim) {
      await untilShared();
      // A worker that has not itself stood for a whole time to live judges no other one.
      const sharedAt = performance.now();
      await until('all may judge', () => performance.now() - sharedAt > ttlMs + membership.renewMs, {
        timeoutMs: 3 * ttlMs,
      });
      for (const stream of LED_STREAMS) await lead(connection, stream, victim);
      const orphans = await shardsOf(`w${victim}`);
      const killedAt = Date.now();
      await Promise.all([workers[victim]?.kill9(), cluster.nodes[victim]?.kill9()]);
      const takeOver = async (shard: number): Promise<number> => {
        const session = sessions.get(shard) ?? '';
        const { subject, body, headers } = makeMessage(names, session, sent++);
        const seq = await until(
          'its message is stored',
          async () => {
            const outcome = await channel.publish(subject, body, headers);
            return outcome.kind === 'stored' ? outcome.seq : undefined;
          },
          { timeoutMs: TAKEN_WITHIN_MS },
        );
        const record = names.turnsSubject(names.sessionTokens('main', session));
        return until(
          `shard ${shard} goes on`,
          async () => {
            const last = await reader.leaderLast(names.turnsStream, record);
            const parsed = last === undefined ? undefined : parseRecord(Buffer.from(last.data).toString());
            const isDecided = parsed?.ok === true && parsed.record.upto >= seq;
            return isDecided ? (last?.storedAtMs ?? 0) - killedAt : undefined;
          },
          { timeoutMs: TAKEN_WITHIN_MS },
        );
      };
      const waits = await Promise.all(orphans.map(takeOver));
      await cluster.nodes[victim]?.restart();
      await start(victim);
      return Math.max(...waits);
    },
    async [Symbol.asyncDispose]() {
      channel.close();
      await connection.close();
      await Promise.all(workers.map((worker) => worker.stop()));
      await folder.remove();
    },
  };
}

/** The node is the stream's leader. */
async function lead(connection: BrokerConnection, stream: string, node: number): Promise<void> {
  await until(`node ${node} leads ${stream}`, async () => {
    const { cluster } = await connection.jsm.streams.info(stream);
    if (cluster?.leader === `n${node}`) return true;
    const wish = JSON.stringify({ placement: { preferred: `n${node}` } });
    await connection.nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, wish, { timeout: 2_000 });
    return false;
  });
}

/** A session of each shard. */
function sessionsByShard(): ReadonlyMap<number, string> {
  const sessions = new Map<number, string>();
  for (let i = 0; sessions.size < names.shards; i++) {
    const { shard } = names.sessionTokens('main', `failover-${i}`);
    if (!sessions.has(shard)) sessions.set(shard, `failover-${i}`);
  }
  return sessions;
}
