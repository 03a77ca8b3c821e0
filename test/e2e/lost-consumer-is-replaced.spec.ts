import { afterEach, expect, it } from 'vitest';
import { Names } from '#contracts';
import { applyTopology, BrokerConnection, declareTopology, ShardReader } from '#jetstream';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBrokerCluster, until } from '#testing';

afterEach(expectNothingLeft);

const names = new Names('lk', 16);

it('a shard whose consumer is lost with its node, while our connection stands, is read on by another one; nothing is lost or read twice (L2, L3, L5)', async () => {
  await using cluster = await startBrokerCluster(3);
  const [node] = cluster.nodes;
  const connection = await BrokerConnection.open({ url: node?.url ?? '', name: 'reader', log: silentLogger });
  await applyTopology(connection, declareTopology(names, { replicas: 3, dedupWindowMs: 60_000 }), silentLogger);
  const seqs: number[] = [];
  // The client's own repair would find the same consumer gone only when it asks for it again and again.
  const readers: ShardReader[] = [];
  const leaders = async (): Promise<(string | undefined)[]> => {
    const all = await connection.jsm.consumers.list(names.inboxStream).next();
    return all.map(({ cluster: group }) => group?.leader);
  };
  // Wherever the broker puts them: one of several is on a node that is not ours.
  for (const shard of [0, 1, 2, 3, 4, 5]) {
    const reader = new ShardReader(connection, {
      stream: names.inboxStream,
      filter: names.inboxShardFilter(shard),
      fromSeq: 1,
      onMessage: ({ seq }) => void seqs.push(seq),
      onCaughtUp: () => {},
      log: silentLogger,
    });
    reader.start();
    readers.push(reader);
  }
  const lost = await until('a consumer is on a node that is not ours', async () => {
    const elsewhere = (await leaders()).filter((leader) => leader !== undefined && leader !== 'n0');
    return elsewhere[0];
  });
  const before = await sendToAll(connection, 40);
  await until('all of it is read', () => seqs.length === before.length);
  await cluster.nodes[Number(lost.slice(1))]?.kill9();
  const after = await sendToAll(connection, 40);
  await until('what came while its node was gone is read', () => seqs.length === before.length + after.length);
  expect(seqs.toSorted((a, b) => a - b)).toEqual([...before, ...after].toSorted((a, b) => a - b));
  await Promise.all(readers.map((reader) => reader.stop()));
  await connection.close();
});

/** To sessions of the first six shards; the answer is where they lie. */
async function sendToAll({ js }: BrokerConnection, count: number): Promise<number[]> {
  const seqs: number[] = [];
  for (let i = 0; seqs.length < count; i++) {
    const key = names.sessionTokens('main', `s${i}`);
    if (key.shard > 5) continue;
    const stored = await until('a message is stored', () =>
      js.publish(names.ingestSubject(key), '{}').catch(() => undefined),
    );
    seqs.push(stored.seq);
  }
  return seqs;
}
