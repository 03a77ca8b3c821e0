import { AckPolicy } from '@nats-io/jetstream';
import { afterAll, expect, it, vi } from 'vitest';
import { silentLogger } from '#telemetry';
import { connectedBroker, expectNothingLeft, until } from '#testing';
import { BrokerConnection } from '../connection/nats-connection.client.js';
import { OrderedPull } from './ordered-pull.consumer.js';
import { ShardReader } from './shard-reader.consumer.js';

afterAll(expectNothingLeft);

const KIB = 1_024;

it('reads each message once, also messages that do not fit into the rest of a request, or into any request (L2, L3)', async () => {
  await using made = await connectedBroker();
  const { connection } = made;
  await connection.jsm.streams.add({ name: 'S', subjects: ['s.>'] });
  // Small, medium, and larger than what a request may bring: first, several in a row, and last.
  const sizes = [600, 600, 1, 1, 200, 200, 200, 1, 600, 400, 400, 50, 50, 700, 1, 300, 300, 1, 1, 600].map(
    (kib) => kib * KIB,
  );
  for (const size of sizes) await connection.js.publish('s.a', new Uint8Array(size));
  const { name } = await connection.jsm.consumers.add('S', { ack_policy: AckPolicy.None, max_deliver: 1 });
  const read: [number, number][] = [];
  const ends: string[] = [];
  const refused: string[] = [];
  const asked = vi.spyOn(connection.nc, 'publish');
  const pull = new OrderedPull(connection, {
    ...{ stream: 'S', consumer: name, maxMessages: 8, maxBytes: 512 * KIB, expiresMs: 60_000, heartbeatMs: 30_000 },
    onMessage: ({ seq, pending }) => void read.push([seq, pending]),
  });
  void pull.ended.then((reason) => ends.push(reason));
  connection.nc.subscribe(asked.mock.calls[0]?.[2]?.reply ?? '', {
    callback: (_error, { headers }) => {
      if (headers?.code === 409) refused.push(headers.description);
    },
  });
  await until('all are read', () => read.length === sizes.length, { timeoutMs: 5_000 });
  // The number of pending messages is exact: at zero the shard is caught up.
  expect(read).toEqual(sizes.map((_size, i) => [i + 1, sizes.length - i - 1]));
  expect(new Set(refused)).toEqual(new Set(['Message Size Exceeds MaxBytes']));
  expect(ends).toEqual([]);
  const requests = asked.mock.calls.filter(([subject]) => subject.includes('.CONSUMER.MSG.NEXT.'));
  // It does not send requests in a loop.
  expect(requests.length).toBeLessThan(3 * sizes.length);
  asked.mockRestore();
  pull.stop();
});

it('is not cut off when the largest messages wait in several shards: each cut makes every publish unclear', async () => {
  await using made = await connectedBroker();
  await made.connection.jsm.streams.add({ name: 'S', subjects: ['s.>'] });
  const shards = [0, 1, 2, 3];
  const body = new Uint8Array(768 * KIB);
  const each = 40;
  for (let i = 0; i < each; i++) {
    await Promise.all(shards.map((shard) => made.channel.publish(`s.${shard}`, body, {})));
  }
  const connection = await BrokerConnection.open({ url: made.broker.url, name: 'reader', log: silentLogger });
  let downs = 0;
  connection.onDown(() => void downs++);
  let read = 0;
  const readers = shards.map(
    (shard) =>
      new ShardReader(connection, {
        ...{ stream: 'S', filter: `s.${shard}`, fromSeq: 1, log: silentLogger },
        onMessage: () => {
          read++;
          // Some work per message.
          const until = performance.now() + 10;
          while (performance.now() < until);
        },
        onCaughtUp: () => {},
      }),
  );
  for (const reader of readers) reader.start();
  await until('all are read', () => read === each * shards.length);
  expect(downs).toBe(0);
  await Promise.all(readers.map((reader) => reader.stop()));
  await connection.close();
});
