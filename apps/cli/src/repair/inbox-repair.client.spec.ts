import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Names, type NoteRecord, type SessionTokens } from '#contracts';
import type { BrokerConnection, PublishChannel, StreamReader } from '#jetstream';
import { KeyLeaseStore, type Lease } from '#shards';
import { connectedBroker, expectNothingLeft, type ConnectedBroker, type TestBroker } from '#testing';
import { gatherEvidence, type InboxEvidence } from './inbox-evidence.client.js';
import { BEYOND_THE_MARK, InboxRepair } from './inbox-repair.client.js';

const names = new Names('lk', 16);
const a = names.sessionTokens('main', 'a');
const b = names.sessionTokens('main', 'b');
let connected: ConnectedBroker;
let broker: TestBroker;
let connection: BrokerConnection;
let channel: PublishChannel;
let reader: StreamReader;
let leases: KeyLeaseStore;
let repair: InboxRepair;

beforeEach(async () => {
  connected = await connectedBroker();
  ({ broker, connection, channel, reader } = connected);
  leases = new KeyLeaseStore(connection, connected.bucket(names.shardsBucket), names.shards);
  await connected.makeStreams(names);
  repair = new InboxRepair({ connection, channel, reader, names, dedupWindowMs: 60_000 });
});

afterEach(async () => {
  await connected[Symbol.asyncDispose]();
  await expectNothingLeft();
});

async function publish(subject: string, body: string): Promise<number> {
  const outcome = await channel.publish(subject, body, {});
  if (outcome.kind !== 'stored') throw new Error(JSON.stringify(outcome));
  return outcome.seq;
}

const send = (key: SessionTokens): Promise<number> => publish(names.ingestSubject(key), '{}');

async function record(key: SessionTokens, head: Partial<NoteRecord>): Promise<void> {
  const empty = { upto: 0, done: [], run: null, nextSequence: null, children: {}, relayed: {}, messages: [] };
  const note: NoteRecord = { v: 1, kind: 'note', commitId: randomUUID(), worker: 'w/1', ...empty, ...head };
  await publish(names.turnsSubject(key), JSON.stringify(note));
}

async function lease(shard: number, progress: Partial<Lease>): Promise<void> {
  const value: Lease = { v: 1, writeId: randomUUID(), owner: null, read: 0, tail: 0, open: [], ...progress };
  const expected = (await leases.read(shard))?.revision ?? 0;
  expect(await leases.write(shard, value, expected)).toMatchObject({ kind: 'written' });
}

/** All shards idle at a sequence, as an installation has them that has caught up. */
async function leaseAll(read: number): Promise<void> {
  for (let shard = 0; shard < names.shards; shard++) await lease(shard, { read });
}

/** As a stream that was made anew; `kept` messages of `a` are in it again, as from a backup. */
async function setBack(kept = 0): Promise<void> {
  await connection.jsm.streams.delete(names.inboxStream);
  await connected.makeStreams(names);
  for (let i = 0; i < kept; i++) await send(a);
}

const gather = (): Promise<InboxEvidence> => gatherEvidence(connection, reader, leases, names);

async function mend(evidence: InboxEvidence): Promise<number> {
  return repair.mend(await repair.plan(evidence), () => {});
}

describe('the evidence', () => {
  it('of a fresh installation, and of a sound one, is sound', async () => {
    expect(await gather()).toMatchObject({ isRewound: false, lastSeq: 0, mark: 0, sessions: 0 });
    await send(a);
    await record(a, { upto: 1 });
    await leaseAll(1);
    expect(await gather()).toMatchObject({ isRewound: false, lastSeq: 1, mark: 1, sessions: 1, unreadable: 0 });
  });

  it('is the highest of all leases and heads, and of what a head has begun', async () => {
    await lease(3, { read: 7 });
    expect((await gather()).mark).toBe(7);
    await lease(4, { read: 2, open: [{ session: 'main.a', from: 9, holder: 'w/0' }] });
    expect((await gather()).mark).toBe(9);
    await record(a, { upto: 90 });
    await record(a, { upto: 11 });
    // Only the last record of a session counts: it holds all that the former ones held.
    expect((await gather()).mark).toBe(11);
    await record(b, { upto: 3, done: [[5, 13]] });
    expect((await gather()).mark).toBe(13);
    await record(b, { upto: 3, run: { runId: 'r', seqs: [4, 17], attempt: 1, crashes: 0 } });
    expect(await gather()).toMatchObject({ isRewound: true, lastSeq: 0, mark: 17, sessions: 2 });
  });

  it('counts records that cannot be read', async () => {
    await publish(names.turnsSubject(a), 'rubbish');
    await record(b, { upto: 3 });
    expect(await gather()).toMatchObject({ mark: 3, sessions: 2, unreadable: 1 });
  });
});

describe('a rewound inbox', () => {
  it('of which nothing is left goes on above the mark, at once and for good', async () => {
    await leaseAll(50_000_000);
    await setBack();
    const evidence = await gather();
    expect(evidence).toMatchObject({ isRewound: true, lastSeq: 0, mark: 50_000_000 });
    expect(await repair.plan(evidence)).toEqual({ kind: 'purge', upTo: 50_100_000 });
    expect(await mend(evidence)).toBe(50_100_000);
    expect(await gather()).toMatchObject({ isRewound: false });
    await broker.kill9();
    await broker.restart();
    await connection.whenUp();
    expect(await send(a)).toBe(50_100_001);
  });

  it('keeps what is undecided: it is filled up behind it, with what no shard reads', async () => {
    await leaseAll(20);
    await lease(a.shard, { read: 20, open: [{ session: 'main.a', from: 2 }] });
    await record(a, { upto: 1 });
    await setBack(3);
    const evidence = await gather();
    expect(await repair.plan(evidence)).toEqual({ kind: 'fill', upTo: 20 + BEYOND_THE_MARK });
    expect(await mend(evidence)).toBe(20 + BEYOND_THE_MARK);
    const ofShards: number[] = [];
    for await (const { seq } of reader.messagesOf(names.inboxStream, 'lk.inbox.>', 1)) ofShards.push(seq);
    expect(ofShards).toEqual([1, 2, 3]);
    expect(await send(b)).toBe(21 + BEYOND_THE_MARK);
  });

  it('keeps what its shard’s owner had not read yet', async () => {
    await leaseAll(20);
    await lease(a.shard, { read: 2 });
    await setBack(3);
    expect(await repair.plan(await gather())).toMatchObject({ kind: 'fill' });
  });

  it('keeps everything of a shard that never had a lease', async () => {
    await lease(b.shard, { read: 20 });
    await setBack(1);
    expect(await repair.plan(await gather())).toMatchObject({ kind: 'fill' });
  });

  it('keeps what is decided while a repetition of it has to be known', async () => {
    await leaseAll(20);
    await setBack(2);
    await record(a, { upto: 2 });
    expect(await repair.plan(await gather())).toMatchObject({ kind: 'fill' });
    const forgetful = new InboxRepair({ connection, channel, reader, names, dedupWindowMs: 0 });
    expect(await forgetful.plan(await gather())).toMatchObject({ kind: 'purge' });
  });

  it('does not keep what came while it was rewound: its senders were told that it was not taken', async () => {
    await record(a, { upto: 9 });
    await leaseAll(20);
    await setBack(3);
    await send(b);
    const evidence = await gather();
    expect(await repair.plan(evidence)).toMatchObject({ kind: 'purge' });
    await mend(evidence);
    expect(await send(a)).toBe(21 + BEYOND_THE_MARK);
  });

  it('that is repaired by two at once is filled at least so far, and sound', async () => {
    await leaseAll(3_000);
    await setBack(2);
    const ends = await Promise.all([1, 2].map(() => repair.mend({ kind: 'fill', upTo: 3_000 }, () => {})));
    for (const end of ends) expect(end).toBeGreaterThanOrEqual(3_000);
    expect(await gather()).toMatchObject({ isRewound: false });
  });

  it('whose broker takes no fillers says so, with the remedy', async () => {
    await leaseAll(20);
    await setBack(2);
    const { config } = await connection.jsm.streams.info(names.inboxStream);
    await connection.jsm.streams.update(names.inboxStream, { ...config, max_msgs: 2 });
    const filled = repair.mend({ kind: 'fill', upTo: 20 }, () => {});
    await expect(filled).rejects.toThrow(/LK_INBOX: the broker does not take fillers .*run it again/);
  });
});
