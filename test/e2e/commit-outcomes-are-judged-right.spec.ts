import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Names, type NoteRecord, emptyHead } from '#contracts';
import {
  applyTopology,
  BrokerConnection,
  declareTopology,
  PublishChannel,
  RecordCommitter,
  StreamReader,
  type RecordWrite,
} from '#jetstream';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBroker, startFaultProxy, until, type FaultProxy, type TestBroker } from '#testing';

/** The commit protocol against a real server, through a proxy that loses bytes on one side only. */

const names = new Names('lk', 64);
const key = names.sessionTokens('main', 's');
const subject = names.turnsSubject(key);

interface Client {
  readonly connection: BrokerConnection;
  readonly channel: PublishChannel;
  readonly reader: StreamReader;
  readonly committer: RecordCommitter;
}

let broker: TestBroker;
let proxy: FaultProxy;
let direct: Client;
let proxied: Client;

async function openClient(url: string): Promise<Client> {
  const connection = await BrokerConnection.open({ url, name: 'test', log: silentLogger });
  const channel = new PublishChannel(connection, { timeoutMs: 500 });
  const reader = new StreamReader(connection);
  const committer = new RecordCommitter(connection, channel, reader, names.turnsStream, silentLogger);
  return { connection, channel, reader, committer };
}

async function closeClient({ connection, channel, committer }: Client): Promise<void> {
  committer.stop();
  channel.close();
  await connection.close();
}

function write(expectedSeq: number): RecordWrite {
  const commitId = randomUUID();
  const record: NoteRecord = { v: 1, kind: 'note', commitId, worker: 'test', messages: [], ...emptyHead() };
  return { subject, commitId, expectedSeq, body: JSON.stringify(record) };
}

async function storedCommitIds(): Promise<string[]> {
  const ids: string[] = [];
  for await (const { data } of direct.reader.messagesOf(names.turnsStream, subject, 1)) {
    ids.push((JSON.parse(Buffer.from(data).toString()) as NoteRecord).commitId);
  }
  return ids;
}

beforeEach(async () => {
  broker = await startBroker();
  proxy = await startFaultProxy(broker.port);
  direct = await openClient(broker.url);
  proxied = await openClient(proxy.url);
  await applyTopology(direct.connection, declareTopology(names, { replicas: 1, dedupWindowMs: 60_000 }), silentLogger);
});

afterEach(async () => {
  await closeClient(proxied);
  await closeClient(direct);
  await proxy.close();
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

describe('commit outcomes (L1)', () => {
  it('stored and acknowledged: won', async () => {
    const first = write(0);
    expect(await direct.committer.commit(first)).toEqual({ kind: 'won', seq: 1 });
    expect(await direct.committer.commit(write(1))).toEqual({ kind: 'won', seq: 2 });
  });

  it('the ack is lost after the store: won, and stored once', async () => {
    const mine = write(0);
    proxy.dropFromServer();
    const outcome = proxied.committer.commit(mine);
    await until('it is stored', async () => (await storedCommitIds()).length === 1);
    proxy.heal();
    expect(await outcome).toEqual({ kind: 'won', seq: 1 });
    expect(await storedCommitIds()).toEqual([mine.commitId]);
  });

  it('the publish is lost before the store: the same bytes again, won', async () => {
    const mine = write(0);
    proxy.dropFromClient();
    const outcome = proxied.committer.commit(mine);
    await until('the publish was lost', async () => proxied.channel.pending === 0);
    expect(await storedCommitIds()).toEqual([]);
    proxy.heal();
    expect(await outcome).toEqual({ kind: 'won', seq: 1 });
    expect(await storedCommitIds()).toEqual([mine.commitId]);
  });

  it("another's record in between: lost, with the winner", async () => {
    const other = write(0);
    await direct.committer.commit(other);
    const mine = write(0);
    const outcome = await proxied.committer.commit(mine);
    expect(outcome).toMatchObject({ kind: 'lost', winner: { seq: 1, subject } });
    expect(await storedCommitIds()).toEqual([other.commitId]);
  });

  it("the publish is lost and another's record comes in between: lost", async () => {
    const mine = write(0);
    const other = write(0);
    proxy.dropFromClient();
    const outcome = proxied.committer.commit(mine);
    await until('the publish was lost', async () => proxied.channel.pending === 0);
    await direct.committer.commit(other);
    proxy.heal();
    expect(await outcome).toMatchObject({ kind: 'lost', winner: { seq: 1 } });
    expect(await storedCommitIds()).toEqual([other.commitId]);
  });

  it("the ack is lost after the store and another's record follows: still won", async () => {
    const mine = write(0);
    proxy.dropFromServer();
    const outcome = proxied.committer.commit(mine);
    await until('it is stored', async () => (await storedCommitIds()).length === 1);
    await direct.committer.commit(write(1));
    proxy.heal();
    expect(await outcome).toEqual({ kind: 'won', seq: 1 });
  });

  it('sending one’s own stored bytes again is judged won, not lost', async () => {
    const mine = write(0);
    expect(await direct.committer.commit(mine)).toEqual({ kind: 'won', seq: 1 });
    expect(await direct.committer.commit(mine)).toEqual({ kind: 'won', seq: 1 });
    expect(await storedCommitIds()).toEqual([mine.commitId]);
  });

  it('a session whose records were removed is forgotten, and begins anew', async () => {
    await direct.committer.commit(write(0));
    await direct.connection.jsm.streams.purge(names.turnsStream, { filter: subject });
    expect(await direct.committer.commit(write(1))).toEqual({ kind: 'forgotten' });
    expect(await direct.committer.commit(write(0))).toMatchObject({ kind: 'won' });
  });

  it('the broker dies between publish and ack and comes back: won once', async () => {
    const mine = write(0);
    proxy.dropFromServer();
    const outcome = proxied.committer.commit(mine);
    await until('it is stored', async () => (await storedCommitIds()).length === 1);
    await broker.kill9();
    proxy.heal();
    await broker.restart();
    expect(await outcome).toEqual({ kind: 'won', seq: 1 });
    await direct.connection.whenUp();
    expect(await storedCommitIds()).toEqual([mine.commitId]);
  });

  it('many commits of many sessions at once keep their answers apart', async () => {
    const writes = Array.from({ length: 500 }, (_, i) => ({
      ...write(0),
      subject: names.turnsSubject(names.sessionTokens('main', `s${i}`)),
    }));
    const outcomes = await Promise.all(writes.map((one) => direct.committer.commit(one)));
    for (const [i, outcome] of outcomes.entries()) {
      expect(outcome.kind).toBe('won');
      const stored = await direct.reader.leaderLast(names.turnsStream, writes[i]?.subject ?? '');
      expect(outcome).toEqual({ kind: 'won', seq: stored?.seq });
    }
  });
});
