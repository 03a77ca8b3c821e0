import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Names, type NoteRecord } from '#contracts';
import type { BrokerConnection } from '#jetstream';
import { KeyLeaseStore, type Lease } from '#shards';
import { silentLogger } from '#telemetry';
import { connectedBroker, expectNothingLeft, until, type ConnectedBroker } from '#testing';
import { FloorWatch } from './floor-watch.client.js';

const names = new Names('lk', 16);
let connected: ConnectedBroker;
let connection: BrokerConnection;
let leases: KeyLeaseStore;
let watch: FloorWatch;

beforeEach(async () => {
  connected = await connectedBroker();
  ({ connection } = connected);
  leases = new KeyLeaseStore(connection, connected.bucket(names.shardsBucket), names.shards);
  await connected.makeStreams(names);
  const { reader } = connected;
  watch = new FloorWatch({ connection, reader, lookup: reader, leases, names, log: silentLogger });
});

afterEach(async () => {
  watch.stop();
  await connected[Symbol.asyncDispose]();
  await expectNothingLeft();
});

async function store(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await connected.channel.publish('lk.in.main.s', '{}', {});
}

async function lease(shard: number, read: number): Promise<void> {
  const value: Lease = { v: 1, writeId: randomUUID(), owner: null, read, tail: 0, open: [] };
  const expected = (await leases.read(shard))?.revision ?? 0;
  expect(await leases.write(shard, value, expected)).toMatchObject({ kind: 'written' });
}

async function record(upto: number): Promise<void> {
  const note: NoteRecord = {
    v: 1,
    kind: 'note',
    commitId: 'c',
    worker: 'w/1',
    upto,
    done: [],
    run: null,
    nextSequence: null,
    children: {},
    relayed: {},
    messages: [],
  };
  const subject = names.turnsSubject(names.sessionTokens('main', 's'));
  const outcome = await connected.channel.publish(subject, JSON.stringify(note), {});
  expect(outcome.kind).toBe('stored');
}

/** As after a backup was restored, or a stream made anew. */
async function setBack(): Promise<void> {
  await connection.jsm.streams.delete(names.inboxStream);
  await connected.makeStreams(names);
}

const soon = (): number => performance.now() + 10_000;

describe('a watch', () => {
  it('of a fresh installation is open', async () => {
    await watch.start();
    expect([watch.state, watch.mark, watch.problem]).toEqual(['open', 0, undefined]);
  });

  it('is open while the inbox has all that was decided, and knows the mark', async () => {
    await store(5);
    await lease(3, 5);
    await lease(4, 2);
    await watch.start();
    expect([watch.state, watch.mark]).toEqual(['open', 5]);
  });

  it('that starts on a rewound inbox is shut from the first moment, and opens by itself when it is repaired', async () => {
    await store(5);
    await lease(3, 5);
    await setBack();
    await watch.start();
    expect(watch.state).toBe('rewound');
    expect(watch.problem).toMatch(/^LK_INBOX: found last sequence 0, wanted at least 5.*`lanekeeper repair inbox`$/);
    await store(5);
    await until('it is open again', () => watch.state === 'open');
    expect(watch.problem).toBeUndefined();
  });

  it('sees by the newest records what no lease says yet', async () => {
    await store(5);
    await record(2);
    await record(5);
    await lease(3, 1);
    await setBack();
    await watch.start();
    expect([watch.state, watch.mark]).toEqual(['rewound', 5]);
  });

  it('is shut from the loss of the connection until it has looked at what came back', async () => {
    await store(5);
    await watch.start();
    const states: string[] = [];
    connection.onDown(() => states.push(watch.state));
    // Of the same event, a listener after the watch's own: a publisher finds it shut now.
    connection.onUp(() => states.push(watch.state));
    await connected.broker.restart();
    expect(await until('it is open', async () => (await watch.admit(soon())) === 'open')).toBe(true);
    expect(states).toEqual(['unchecked', 'unchecked']);
  });

  it('finds an inbox that came back without its end, on the connection of before', async () => {
    await store(5);
    await lease(3, 5);
    await watch.start();
    const states: string[] = [];
    const changing = setBack().then(() => watch.doubt());
    await changing;
    states.push(watch.state, await watch.admit(soon()));
    expect(states).toEqual(['unchecked', 'rewound']);
  });

  it('hears of marks as leases are written', async () => {
    await watch.start();
    await store(3);
    await lease(7, 3);
    await until('it is heard', () => watch.mark === 3);
    expect(watch.state).toBe('open');
  });

  it('that waits for a broker answers at once that it has seen nothing', async () => {
    await watch.start();
    await connected.broker.stop();
    await until('the loss is noticed', () => !connection.isUp);
    expect(await watch.admit(soon())).toBe('unchecked');
    expect(watch.problem).toMatch(/not looked at/);
    await connected.broker.restart();
    await connection.whenUp();
    expect(await watch.admit(soon())).toBe('open');
  });

  it('that is stopped ends all waits', async () => {
    watch.stop();
    expect(await watch.admit(soon())).toBe('unchecked');
  });
});
