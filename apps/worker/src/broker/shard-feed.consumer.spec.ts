import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Names, type SessionTokens, keyOfLane, laneId } from '#contracts';
import {
  applyTopology,
  BrokerConnection,
  declareTopology,
  PublishChannel,
  StreamReader,
  type StoredMessage,
} from '#jetstream';
import type { LaneRunner } from '#lanes';
import type { ShardStart } from '#shards';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBroker, until, type TestBroker } from '#testing';
import { InboxLookup } from './inbox-lookup.client.js';
import { ShardFeed } from './shard-feed.consumer.js';

const SHARD = 5;
let names: Names;
let broker: TestBroker;
let connection: BrokerConnection;
let channel: PublishChannel;
let namespaces = 0;
let feeds: ShardFeed[] = [];

beforeAll(async () => {
  broker = await startBroker();
  connection = await BrokerConnection.open({ url: broker.url, name: 'feed', log: silentLogger });
  channel = new PublishChannel(connection);
});

beforeEach(async () => {
  names = new Names(`n${++namespaces}`, 16);
  await applyTopology(connection, declareTopology(names, { replicas: 1, dedupWindowMs: 60_000 }), silentLogger);
});

afterEach(async () => {
  await Promise.all(feeds.map((feed) => feed.close()));
  feeds = [];
});

afterAll(async () => {
  channel.close();
  await connection.close();
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

/** Sessions of a shard: `s0`, `s4`, … as they come. */
function sessionsOf(shard: number, count: number): SessionTokens[] {
  const found: SessionTokens[] = [];
  for (let i = 0; found.length < count; i++) {
    const key = names.sessionTokens('main', `s${i}`);
    if (key.shard === shard) found.push(key);
  }
  return found;
}

async function store(...keys: SessionTokens[]): Promise<number[]> {
  const seqs: number[] = [];
  for (const key of keys) {
    const outcome = await channel.publish(names.ingestSubject(key), `{"of":"${key.sessionToken}"}`, {
      traceparent: 'x',
    });
    seqs.push(outcome.kind === 'stored' ? outcome.seq : 0);
  }
  return seqs;
}

/** Records in order what is handed over: `s4 7`, `open s4`, `caught up 5`. */
class RecordingLanes {
  readonly got: string[] = [];
  readonly raw: object[] = [];
  receive(key: SessionTokens, message: { seq: number; data: Uint8Array; header(name: string): string }): void {
    this.got.push(`${key.sessionToken} ${message.seq}`);
    this.raw.push({ key, text: Buffer.from(message.data).toString(), traceparent: message.header('traceparent') });
  }
  receiveFor(
    shard: number,
    id: string,
    message: { seq: number; data: Uint8Array; header(name: string): string },
  ): void {
    this.receive(keyOfLane(id, shard), message);
  }
  isFull = false;
  private tell = (): void => {};
  askForRoom(): boolean {
    return !this.isFull;
  }
  onRoom(_shard: number, listener: () => void): void {
    this.tell = listener;
  }
  makeRoom(): void {
    this.isFull = false;
    this.tell();
  }
  receivedOpen(key: SessionTokens): void {
    this.got.push(`open ${key.sessionToken}`);
  }
  caughtUp(shard: number): void {
    this.got.push(`caught up ${shard}`);
  }
  behind = 0;
  fellBehind(): void {
    this.behind++;
  }
  of(key: SessionTokens): string[] {
    return this.got.filter((what) => what.split(' ').includes(key.sessionToken));
  }
}

/** Delays requests for a session, or makes them fail. */
class FaultyReader extends StreamReader {
  readonly asked: string[] = [];
  readonly leaderAsked: number[] = [];
  /** Fails once, before this many messages were returned. */
  readonly failAfter = new Map<string, number>();
  readonly gates = new Map<string, Promise<void>>();

  override async *messagesOf(stream: string, subject: string, fromSeq: number): AsyncGenerator<StoredMessage> {
    const session = subject.split('.').at(-1) ?? '';
    this.asked.push(`${session} ${fromSeq}`);
    await this.gates.get(session);
    let left = this.failAfter.get(session) ?? Number.POSITIVE_INFINITY;
    for await (const message of super.messagesOf(stream, subject, fromSeq)) {
      if (left-- <= 0) {
        this.failAfter.delete(session);
        throw new Error('away');
      }
      yield message;
    }
  }

  override leaderNext(stream: string, subject: string, fromSeq: number): Promise<StoredMessage | undefined> {
    this.leaderAsked.push(fromSeq);
    return super.leaderNext(stream, subject, fromSeq);
  }
}

function setUp(start: Partial<ShardStart> = {}, isReplicated = false) {
  const lanes = new RecordingLanes();
  const reader = new FaultyReader(connection);
  const whole: ShardStart = { read: 0, tail: 0, open: [], isCrash: false, ...start };
  const feed = new ShardFeed(SHARD, whole, {
    ...{ connection, names },
    lookup: new InboxLookup({ connection, reader, names, isReplicated, log: silentLogger }),
    lanes: lanes as unknown as LaneRunner,
    log: silentLogger,
  });
  feeds.push(feed);
  const caughtUp = () => until('it has caught up', () => lanes.got.at(-1) === `caught up ${SHARD}`);
  return { lanes, reader, feed, caughtUp };
}

const openAt = (key: SessionTokens, from: number) => ({ session: laneId(key), from });

describe('a shard is read', () => {
  it('no further while its lanes have no room, except one message now and then, and continues when they have room (L6)', async () => {
    const [a] = sessionsOf(SHARD, 1) as [SessionTokens];
    await store(...Array.from({ length: 60 }, () => a));
    const { lanes, feed, caughtUp } = setUp();
    lanes.isFull = true;
    feed.open();
    await until('two messages have come', () => lanes.got.length === 2);
    expect(feed.position).toBeLessThan(60);
    expect(lanes.got.some((what) => what.startsWith('caught up'))).toBe(false);
    lanes.makeRoom();
    await caughtUp();
    expect([lanes.of(a).length, feed.position]).toEqual([60, 60]);
  });

  it('from after the decided messages, in order, and no messages of another shard', async () => {
    const [a, b] = sessionsOf(SHARD, 2) as [SessionTokens, SessionTokens];
    const [other] = sessionsOf(SHARD + 1, 1) as [SessionTokens];
    await store(a, b, other, a, other, b, a);
    const { lanes, feed, caughtUp } = setUp({ read: 2 });
    feed.open();
    await caughtUp();
    expect(lanes.got).toEqual([
      `${a.sessionToken} 4`,
      `${b.sessionToken} 6`,
      `${a.sessionToken} 7`,
      `caught up ${SHARD}`,
    ]);
    expect(lanes.raw[0]).toEqual({ key: a, text: `{"of":"${a.sessionToken}"}`, traceparent: 'x' });
    expect(feed.position).toBe(7);
    await store(other, b);
    await until('the next one has come', () => lanes.got.includes(`${b.sessionToken} 9`));
    expect(feed.position).toBe(9);
  });

  it('and has caught up at once when it is empty', async () => {
    const { lanes, feed, caughtUp } = setUp({ read: 0 });
    expect(feed.position).toBe(0);
    feed.open();
    await caughtUp();
    expect(lanes.got).toEqual([`caught up ${SHARD}`]);
  });

  it('no more after it is closed, and no consumer is left at the broker', async () => {
    const [a] = sessionsOf(SHARD, 1) as [SessionTokens];
    const { lanes, feed, caughtUp } = setUp();
    feed.open();
    await caughtUp();
    const consumers = async () => (await connection.jsm.streams.info(names.inboxStream)).state.consumer_count;
    expect(await consumers()).toBe(1);
    const closing = feed.close();
    await store(a);
    await closing;
    expect(await consumers()).toBe(0);
    expect(lanes.got).toEqual([`caught up ${SHARD}`]);
  });
});

describe('an open session', () => {
  it('is fetched from its first undecided message up to what the shard was read to; the reader brings the rest', async () => {
    const [a, b] = sessionsOf(SHARD, 2) as [SessionTokens, SessionTokens];
    await store(a, a, b, a, a, b, a);
    const { lanes, reader, feed, caughtUp } = setUp({ read: 5, open: [openAt(a, 2)] });
    feed.open();
    await caughtUp();
    expect(lanes.of(a)).toEqual(['2', '4', '5', 'open', '7'].map((what) => nameOf(a, what)));
    expect(lanes.of(b)).toEqual([`${b.sessionToken} 6`]);
    expect(reader.asked).toEqual([`${a.sessionToken} 2`]);
    expect(lanes.raw[0]).toEqual({ key: a, text: `{"of":"${a.sessionToken}"}`, traceparent: 'x' });
  });

  it('gets newer messages only after its older ones, while other sessions continue at once (L2)', async () => {
    const [a, b, c] = sessionsOf(SHARD, 3) as [SessionTokens, SessionTokens, SessionTokens];
    await store(a, b, a, b);
    const { lanes, reader, feed, caughtUp } = setUp({ read: 2, open: [openAt(a, 1), openAt(b, 2)] });
    const { promise, resolve } = Promise.withResolvers<void>();
    reader.gates.set(a.sessionToken, promise);
    feed.open();
    await store(c, a);
    await until('all is read', () => feed.position === 6 && lanes.of(b).length === 3);
    expect(lanes.of(a)).toEqual([]);
    expect(lanes.of(b)).toEqual(['2', 'open', '4'].map((what) => nameOf(b, what)));
    expect(lanes.of(c)).toEqual([`${c.sessionToken} 5`]);
    // It has read everything, and one session is still missing.
    expect(lanes.got).not.toContain(`caught up ${SHARD}`);
    resolve();
    await caughtUp();
    expect(lanes.of(a)).toEqual(['1', 'open', '3', '6'].map((what) => nameOf(a, what)));
  });

  it('counts as received also when no message of it is left, or when all of them are still to be read', async () => {
    const [a, b] = sessionsOf(SHARD, 2) as [SessionTokens, SessionTokens];
    await store(a, b);
    // `a` is in handoff from a former owner that wrote meanwhile. The first message of `b` came after the position of
    // the last owner.
    const { lanes, feed, caughtUp } = setUp({ read: 1, open: [openAt(a, 2), openAt(b, 2)] });
    feed.open();
    await caughtUp();
    expect(lanes.of(a)).toEqual([`open ${a.sessionToken}`]);
    expect(lanes.of(b)).toEqual(['open', '2'].map((what) => nameOf(b, what)));
  });

  it('that arrives while reading is paused does not make the shard count as read to its end', async () => {
    const [a, b] = sessionsOf(SHARD, 2) as [SessionTokens, SessionTokens];
    await store(a, b);
    const { lanes, reader, feed, caughtUp } = setUp({ read: 1, open: [openAt(a, 1)] });
    const { promise, resolve } = Promise.withResolvers<void>();
    reader.gates.set(a.sessionToken, promise);
    feed.open();
    await until('the shard is read', () => feed.position === 2);
    lanes.isFull = true;
    await store(...Array.from({ length: 120 }, () => b));
    await until('it is read no further', () => feed.position >= 80);
    resolve();
    await until('the open session has come', () => lanes.got.includes(`open ${a.sessionToken}`));
    expect(feed.position).toBeLessThan(122);
    expect(lanes.got).not.toContain(`caught up ${SHARD}`);
    lanes.makeRoom();
    await caughtUp();
    expect(feed.position).toBe(122);
  });

  it('whose fetch breaks is fetched again from there: no message twice, none left out', async () => {
    const [a] = sessionsOf(SHARD, 1) as [SessionTokens];
    await store(a, a, a, a);
    const { lanes, reader, feed, caughtUp } = setUp({ read: 3, open: [openAt(a, 1)] });
    reader.failAfter.set(a.sessionToken, 2);
    feed.open();
    await caughtUp();
    expect(lanes.of(a)).toEqual(['1', '2', '3', 'open', '4'].map((what) => nameOf(a, what)));
    expect(reader.asked).toEqual([`${a.sessionToken} 1`, `${a.sessionToken} 3`]);
  });

  it('is fetched from the leader when a replica could lag', async () => {
    const [a, b] = sessionsOf(SHARD, 2) as [SessionTokens, SessionTokens];
    await store(a, b, a, a);
    const { lanes, reader, feed, caughtUp } = setUp({ read: 3, open: [openAt(a, 1)] }, true);
    feed.open();
    await caughtUp();
    expect(lanes.of(a)).toEqual(['1', '3', 'open', '4'].map((what) => nameOf(a, what)));
    expect([reader.asked, reader.leaderAsked]).toEqual([[], [1, 2, 4]]);
  });

  it('is one of eight that are fetched at once, and each is fetched once', async () => {
    const keys = sessionsOf(SHARD, 20);
    await store(...keys, ...keys);
    const open = keys.map((key, i) => openAt(key, i + 1));
    const { lanes, reader, feed, caughtUp } = setUp({ read: 20, open });
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const { sessionToken } of keys) reader.gates.set(sessionToken, promise);
    feed.open();
    await until('all is read', () => feed.position === 40);
    expect(reader.asked).toHaveLength(8);
    resolve();
    await caughtUp();
    expect(reader.asked).toHaveLength(20);
    for (const [i, key] of keys.entries()) {
      expect(lanes.of(key)).toEqual([`${i + 1}`, 'open', `${i + 21}`].map((what) => nameOf(key, what)));
    }
  });

  it('of a closed shard is not handed over, nor fetched further', async () => {
    const keys = sessionsOf(SHARD, 10);
    await store(...keys);
    const { lanes, reader, feed } = setUp({ read: 10, open: keys.map((key) => openAt(key, 1)) });
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const { sessionToken } of keys) reader.gates.set(sessionToken, promise);
    feed.open();
    const closing = feed.close();
    resolve();
    await closing;
    // Eight fetches were running: after as many round trips each of them would have arrived.
    for (let i = 0; i < 10; i++) await connection.nc.flush();
    expect([lanes.got, reader.asked.length]).toEqual([[], 8]);
  });
});

describe('after an outage', () => {
  it('reading and fetching continue where they were', async () => {
    const [a, b] = sessionsOf(SHARD, 2) as [SessionTokens, SessionTokens];
    await store(a, b, a);
    const { lanes, reader, feed, caughtUp } = setUp({ read: 1, open: [openAt(a, 1)] });
    const { promise, resolve } = Promise.withResolvers<void>();
    reader.gates.set(a.sessionToken, promise);
    feed.open();
    await until('the reader was there', () => lanes.of(b).length === 1);
    await broker.kill9();
    await until('the connection is down', () => !connection.isUp);
    resolve();
    await broker.restart();
    await connection.whenUp();
    await store(b, a);
    await caughtUp();
    await until('the last one has come', () => feed.position === 5);
    expect(lanes.of(a)).toEqual(['1', 'open', '3', '5'].map((what) => nameOf(a, what)));
    expect(lanes.of(b)).toEqual(['2', '4'].map((what) => nameOf(b, what)));
  }, 30_000);
});

/** As the lanes note it: `s4 7`, or `open s4`. */
function nameOf({ sessionToken }: SessionTokens, what: string): string {
  return what === 'open' ? `open ${sessionToken}` : `${sessionToken} ${what}`;
}
