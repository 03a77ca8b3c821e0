import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AckPolicy, jetstream } from '@nats-io/jetstream';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { silentLogger, type Logger } from '#telemetry';
import { expectNothingLeft, startBroker, startFaultProxy, tempDir, until } from '#testing';
import { FakeShard } from './fake-shard.fixture.js';
import { BrokerConnection } from '../connection/nats-connection.client.js';
import { OrderedPull } from './ordered-pull.consumer.js';
import { ShardReader, type ShardMessage } from './shard-reader.consumer.js';

afterAll(expectNothingLeft);

function readerOf(connection: BrokerConnection, log: Logger = silentLogger) {
  const seqs: number[] = [];
  let caughtUp = 0;
  let last: ShardMessage | undefined;
  const reader = new ShardReader(connection, {
    ...{ stream: 'S', filter: 's.>', fromSeq: 1, log },
    onMessage: (message) => {
      seqs.push(message.seq);
      last = message;
    },
    onCaughtUp: () => void caughtUp++,
  });
  return { reader, seqs, last: () => last, caughtUp: () => caughtUp };
}

describe('over a broker with arbitrary faults', () => {
  afterEach(() => void vi.useRealTimers());

  it('delivers every message once and in order, whatever is lost, ends or stays silent in between (L2, L3)', async () => {
    const command = fc.oneof(
      { weight: 6, arbitrary: fc.record({ what: fc.constant('deliver'), times: fc.integer({ min: 1, max: 60 }) }) },
      {
        weight: 6,
        arbitrary: fc.record({
          what: fc.constantFrom('store', 'drop', 'expire', 'heartbeat', 'delete', 'lose', 'reconnect', 'refuse'),
          times: fc.integer({ min: 1, max: 5 }),
        }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 40, size: 'max' }), async (commands) => {
        vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
        const shard = new FakeShard();
        shard.stored = 30;
        const { reader, seqs, caughtUp } = readerOf(shard.connection);
        reader.start();
        const does: Record<string, () => void> = {
          deliver: () => shard.deliver(),
          store: () => (shard.stored += 7),
          drop: () => shard.deliver({ isLost: true }),
          expire: () => shard.expire(),
          heartbeat: () => shard.heartbeat(),
          delete: () => shard.status(409, 'Consumer Deleted'),
          lose: () => shard.lose(),
          reconnect: () => shard.reconnect(),
          refuse: () => (shard.isRefusing = !shard.isRefusing),
        };
        for (const { what, times } of commands) {
          for (let i = 0; i < times; i++) does[what]?.();
          await vi.advanceTimersByTimeAsync(500);
        }
        shard.isRefusing = false;
        for (let beats = 0; seqs.length < shard.stored && beats < 20; beats++) {
          for (let i = 0; i < 60; i++) shard.deliver();
          shard.heartbeat();
          await vi.advanceTimersByTimeAsync(1_500);
        }
        expect(seqs).toEqual(Array.from({ length: shard.stored }, (_, i) => i + 1));
        expect(caughtUp()).toBeGreaterThan(0);
        await reader.stop();
        expect([shard.subscriptions.size, vi.getTimerCount()]).toEqual([0, 0]);
        vi.useRealTimers();
      }),
      { numRuns: 150 },
    );
  });

  it('has caught up when the leader says so, not when a consumer on a lagging replica has nothing more (L1, L7)', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
    const shard = new FakeShard();
    const told: string[] = [];
    // The leader has seven messages; the replica of the consumer has five of them.
    const leader = { last: 7 };
    shard.stored = 5;
    const reader = new ShardReader(shard.connection, {
      ...{ stream: 'S', filter: 's.>', fromSeq: 1, log: silentLogger },
      onMessage: () => {},
      onCaughtUp: () => void told.push(`caught up at ${reader.position}`),
      onBehind: () => void told.push('behind'),
      end: {
        lastSeq: async () => leader.last,
        next: async (fromSeq) => (fromSeq <= leader.last ? fromSeq : undefined),
      },
    });
    const read = async (stored: number): Promise<void> => {
      shard.stored = stored;
      for (let i = 0; i < 10; i++) shard.deliver();
      await vi.advanceTimersByTimeAsync(1);
    };
    reader.start();
    await vi.advanceTimersByTimeAsync(1);
    await read(5);
    expect(told).toEqual([]);
    await read(7);
    expect(told).toEqual(['caught up at 7']);
    // The next consumer is on another lagging replica.
    leader.last = 8;
    shard.status(409, 'Consumer Deleted');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(told).toEqual(['caught up at 7', 'behind']);
    await read(8);
    expect(told).toEqual(['caught up at 7', 'behind', 'caught up at 8']);
    shard.disconnect();
    expect(told.at(-1)).toBe('behind');
    shard.reconnect();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(told.at(-1)).toBe('caught up at 8');
    await reader.stop();
    expect([shard.subscriptions.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it('pauses between consumers that end at once: the meta leader makes each of them (L6)', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
    const shard = new FakeShard();
    const { reader } = readerOf(shard.connection);
    reader.start();
    for (let ms = 0; ms < 10_000; ms += 50) {
      await vi.advanceTimersByTimeAsync(50);
      shard.status(409, 'Exceeded MaxWaiting');
    }
    expect(shard.made).toBeLessThan(8);
    // A consumer that has lasted is replaced without a pause.
    const before = shard.made;
    await vi.advanceTimersByTimeAsync(5_000);
    for (let beats = 0; beats < 3; beats++) {
      shard.heartbeat();
      await vi.advanceTimersByTimeAsync(1_500);
    }
    const settled = shard.made;
    expect(settled - before).toBeLessThan(3);
    shard.status(409, 'Leadership Change');
    await vi.advanceTimersByTimeAsync(1);
    expect(shard.made).toBe(settled + 1);
    await reader.stop();
  });
});

describe('over a real broker', () => {
  it('continues after a cut connection and a deleted consumer; no message is lost or read twice (L2, L3)', async () => {
    await using broker = await startBroker();
    await using proxy = await startFaultProxy(broker.port);
    const connection = await BrokerConnection.open({ url: proxy.url, name: 'reader', log: silentLogger });
    const direct = await BrokerConnection.open({ url: broker.url, name: 'publisher', log: silentLogger });
    await direct.jsm.streams.add({ name: 'S', subjects: ['s.>'] });
    const reasons: string[] = [];
    const log = {
      ...silentLogger,
      debug: (fields: object) => void reasons.push((fields as { reason: string }).reason),
    };
    const { reader, seqs, last } = readerOf(connection, log);
    reader.start();
    const store = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await direct.js.publish('s.a', `${i}`);
    };
    await store(100);
    await until('it has read', () => seqs.length === 100);
    const stored = await direct.jsm.streams.getMessage('S', { seq: 100 });
    expect(last()?.storedAtMs).toBe(stored?.time.getTime());
    proxy.cutAll();
    await store(100);
    await until('it has read on', () => seqs.length === 200);
    const [info] = await direct.jsm.consumers.list('S').next();
    await direct.jsm.consumers.delete('S', info?.name ?? '');
    await until('the end is noticed', () => reasons.length > 0);
    await store(100);
    await until('it reads at another one', () => seqs.length === 300, { timeoutMs: 2_000 });
    expect(seqs).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    expect(reasons).toEqual(['409 Consumer Deleted']);
    await reader.stop();
    expect(await direct.jsm.consumers.list('S').next()).toEqual([]);
    await Promise.all([connection.close(), direct.close()]);
  });

  it('keeps one consumer while there is nothing to read, through heartbeats and expired requests', async () => {
    await using broker = await startBroker();
    const connection = await BrokerConnection.open({ url: broker.url, name: 'reader', log: silentLogger });
    await connection.jsm.streams.add({ name: 'S', subjects: ['s.>'] });
    const { name } = await connection.jsm.consumers.add('S', { ack_policy: AckPolicy.None, max_deliver: 1 });
    const seqs: number[] = [];
    const ends: string[] = [];
    const heard: string[] = [];
    const asked = vi.spyOn(connection.nc, 'publish');
    const pull = new OrderedPull(connection, {
      ...{ stream: 'S', consumer: name, maxMessages: 8, maxBytes: 1_000_000, expiresMs: 1_000, heartbeatMs: 200 },
      onMessage: ({ seq }) => void seqs.push(seq),
    });
    void pull.ended.then((reason) => ends.push(reason));
    connection.nc.subscribe(asked.mock.calls[0]?.[2]?.reply ?? '', {
      callback: (_error, { headers }) => {
        if (headers?.code === 100) heard.push(`heartbeat ${headers.get('Nats-Last-Consumer')}`);
        else if (headers !== undefined) heard.push(`${headers.code} ${headers.get('Nats-Pending-Messages')}`);
      },
    });
    // Two requests are open then: the rest of the first one, and one in place of the first four messages that were read.
    for (let i = 0; i < 5; i++) await connection.js.publish('s.a', `${i}`);
    await until('both requests ran out', () => heard.filter((word) => word.startsWith('408')).length >= 2);
    expect(heard).toContain('heartbeat 5');
    const left = heard.filter((word) => word.startsWith('408')).map((word) => Number(word.slice(4)));
    expect((left[0] ?? 0) + (left[1] ?? 0)).toBe(7);
    for (let i = 0; i < 20; i++) await connection.js.publish('s.a', `${i}`);
    await until('it reads on', () => seqs.length === 25);
    expect([seqs, ends]).toEqual([Array.from({ length: 25 }, (_, i) => i + 1), []]);
    asked.mockRestore();
    pull.stop();
    await connection.close();
  });

  it.each([
    ['short', false],
    ['long', true],
  ])(
    'reads a stream with a domain, also by the names of that domain, with replies of the %s form',
    async (_form, isLong) => {
      await using folder = await tempDir('domain');
      const file = join(folder.path, 'nats.conf');
      await writeFile(file, `jetstream { domain: hub }\nfeature_flags { js_ack_fc_v2: ${isLong} }\n`);
      await using broker = await startBroker({ config: { file } });
      const plain = await BrokerConnection.open({ url: broker.url, name: 'reader', log: silentLogger });
      await plain.jsm.streams.add({ name: 'S', subjects: ['s.>'] });
      for (let i = 0; i < 5; i++) await plain.js.publish('s.a', `${i}`);
      const js = jetstream(plain.nc, { domain: 'hub' });
      const delivered = await (await js.consumers.get('S')).next();
      expect(delivered?.info.domain).toBe(isLong ? 'hub' : '');
      const named = Object.create(plain, {
        js: { value: js },
        apiPrefix: { value: '$JS.hub.API' },
      }) as BrokerConnection;
      const published = vi.spyOn(plain.nc, 'publish');
      for (const connection of [plain, named]) {
        published.mockClear();
        const { reader, seqs, last } = readerOf(connection);
        reader.start();
        await until('all is read', () => seqs.length === 5);
        expect(seqs).toEqual([1, 2, 3, 4, 5]);
        const pulls = published.mock.calls.filter(([subject]) => subject.includes('.CONSUMER.MSG.NEXT.S.'));
        expect(pulls.length).toBeGreaterThan(0);
        expect(pulls.filter(([subject]) => !subject.startsWith(`${connection.apiPrefix}.`))).toEqual([]);
        const stored = await plain.jsm.streams.getMessage('S', { seq: 5 });
        expect(last()?.storedAtMs).toBe(stored?.time.getTime());
        await reader.stop();
      }
      published.mockRestore();
      await plain.close();
    },
  );
});
