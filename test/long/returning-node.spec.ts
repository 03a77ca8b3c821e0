import { afterEach, expect, it } from 'vitest';
import { Names, type SessionTokens } from '#contracts';
import {
  applyTopology,
  BrokerConnection,
  declareTopology,
  LastMessageBatcher,
  PublishChannel,
  ShardReader,
  StreamReader,
} from '#jetstream';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBrokerCluster, until, type TestBrokerCluster, type TestBrokerNode } from '#testing';

afterEach(expectNothingLeft);

const ROUNDS = 20;
const SHARDS = [0, 1, 2, 3];
/** Of the other shards: what keeps the node that returns busy for a second or two. */
const OTHERS = 40_000;
/** Of each shard that is read, in every round. */
const MESSAGES = 200;
const SESSIONS = 40;
/** Of one shard: so that its heads come in several answers, each of which may be another replica's. */
const RECORD_BYTES = 20_000;
const AT_ONCE = 500;
const READERS = 16;

const names = new Names('lk', 64);

/** An installation on three nodes, and what is stored of the sessions whose shards are read. */
class Installation {
  readonly sessions = SHARDS.map((shard) => sessionsOf(shard, SESSIONS));
  readonly others = [10, 11, 12].flatMap((shard) => sessionsOf(shard, 20));
  /** The last message of each session. */
  readonly last = new Map<string, number>();
  readonly ends = SHARDS.map(() => 0);
  tail = 0;

  constructor(
    readonly connection: BrokerConnection,
    private readonly channel: PublishChannel,
  ) {}

  private async store(subject: string, body: string): Promise<number> {
    for (;;) {
      await this.connection.whenUp();
      const outcome = await this.channel.publish(subject, body, {});
      if (outcome.kind === 'stored') return outcome.seq;
    }
  }

  private async storeAll<T>(items: readonly T[], store: (item: T, n: number) => Promise<unknown>): Promise<void> {
    for (let i = 0; i < items.length; i += AT_ONCE) {
      await Promise.all(items.slice(i, i + AT_ONCE).map((item, n) => store(item, i + n)));
    }
  }

  /** What others do, and in the end messages of every session that is looked at, each decided by a record. */
  async work(): Promise<void> {
    const body = 'x'.repeat(2_000);
    await this.storeAll(Array.from({ length: OTHERS / 2 }), (_item, n) => {
      const key = this.others[n % this.others.length] as SessionTokens;
      return Promise.all([this.store(names.ingestSubject(key), body), this.store(names.turnsSubject(key), body)]);
    });
    const messages = Array.from({ length: MESSAGES }).flatMap((_item, n) =>
      this.sessions.map((sessions) => sessions[n % SESSIONS] as SessionTokens),
    );
    await this.storeAll(messages, async (key) => {
      const seq = await this.store(names.ingestSubject(key), body);
      this.last.set(names.inboxSubject(key), Math.max(seq, this.last.get(names.inboxSubject(key)) ?? 0));
      const at = SHARDS.indexOf(key.shard);
      this.ends[at] = Math.max(seq, this.ends[at] ?? 0);
    });
    await this.storeAll(this.sessions.flat(), async (key) => {
      const upto = this.last.get(names.inboxSubject(key));
      const seq = await this.store(names.turnsSubject(key), JSON.stringify({ upto, filler: 'x'.repeat(RECORD_BYTES) }));
      this.tail = Math.max(this.tail, seq);
    });
  }

  async forgetOthers(): Promise<void> {
    for (const shard of [10, 11, 12]) {
      await this.connection.jsm.streams.purge(names.inboxStream, { filter: names.inboxShardFilter(shard) });
      for (const key of this.others) {
        await this.connection.jsm.streams.purge(names.turnsStream, { filter: names.turnsSubject(key) });
      }
    }
  }
}

interface Start {
  /** How many sequences of stored messages lay behind it when it said that it had caught up. */
  readonly missing: number;
  /** Messages that would have run again. */
  readonly again: number;
}

/** As an owner that takes a shard whose lease says: everything was read up to a moment before the end. */
async function startOne(installation: Installation, reader: StreamReader, shard: number): Promise<Start> {
  const { connection, tail, last } = installation;
  const heads = new LastMessageBatcher(connection, reader, {
    ...{ stream: names.turnsStream, knownSeq: () => tail, isReplicated: true, log: silentLogger },
  });
  const end = installation.ends[SHARDS.indexOf(shard)] ?? 0;
  const filter = names.inboxShardFilter(shard);
  const read = new Map<string, number>();
  let caughtUpAt: number | undefined;
  const shardReader = new ShardReader(connection, {
    ...{ stream: names.inboxStream, filter, fromSeq: end - MESSAGES / 2, log: silentLogger },
    onMessage: ({ subject, seq }) => void read.set(subject, seq),
    onCaughtUp: () => void (caughtUpAt ??= shardReader.position),
    end: {
      lastSeq: () => reader.leaderLastSeq(names.inboxStream),
      next: async (fromSeq) => (await reader.leaderNext(names.inboxStream, filter, fromSeq))?.seq,
    },
  });
  shardReader.start();
  await until('it has caught up', () => caughtUpAt !== undefined, { timeoutMs: 60_000 });
  const missing = Math.max(0, end - (caughtUpAt ?? 0));
  const decided = await Promise.all(
    [...read].map(async ([subject, seq]) => {
      const record = await heads.last(subject.replace('lk.inbox.', 'lk.turns.'));
      const { upto } = JSON.parse(Buffer.from(record?.data ?? Buffer.from('{"upto":0}')).toString()) as {
        upto: number;
      };
      return seq <= upto && upto === last.get(subject);
    }),
  );
  await shardReader.stop();
  return { missing, again: decided.filter((is) => !is).length };
}

it(`${ROUNDS} times a node returns with an old store: no reader says too soon that it has caught up, and no decided message counts as new (L1, L7, L8)`, async () => {
  await using cluster = await startBrokerCluster(3, { syncsEveryWrite: false });
  const connection = await BrokerConnection.open({ url: cluster.nodes[0]?.url ?? '', name: 'spec', log: silentLogger });
  await applyTopology(connection, declareTopology(names, { replicas: 3, dedupWindowMs: 60_000 }), silentLogger);
  const channel = new PublishChannel(connection);
  const installation = new Installation(connection, channel);
  const reader = new StreamReader(connection);
  const starts: Start[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const victim = await followerOf(cluster, connection);
    await victim.kill9();
    await installation.work();
    const now = { isBack: false };
    const returned = victim.restart().then(() => (now.isBack = true));
    await Promise.all(
      Array.from({ length: READERS }, async (_item, n) => {
        while (!now.isBack) starts.push(await startOne(installation, reader, SHARDS[n % SHARDS.length] ?? 0));
      }),
    );
    await returned;
    await installation.forgetOthers();
  }
  const wrong = starts.filter(({ missing, again }) => missing > 0 || again > 0);
  console.info(`${wrong.length} of ${starts.length} starts were wrong in ${ROUNDS} rounds`, wrong.slice(0, 10));
  channel.close();
  await connection.close();
  expect(starts.length).toBeGreaterThan(ROUNDS * READERS - 1);
  expect(wrong).toEqual([]);
});

function sessionsOf(shard: number, count: number): SessionTokens[] {
  const found: SessionTokens[] = [];
  for (let i = 0; found.length < count; i++) {
    const key = names.sessionTokens('main', `s${i}`);
    if (key.shard === shard) found.push(key);
  }
  return found;
}

/** One that leads neither stream: there are three. Our connection moves on when it is ours. */
async function followerOf({ nodes }: TestBrokerCluster, { jsm }: BrokerConnection): Promise<TestBrokerNode> {
  return until('both streams have a leader', async () => {
    const streams = await Promise.all([names.inboxStream, names.turnsStream].map((stream) => jsm.streams.info(stream)));
    const leaders = streams.map(({ cluster }) => cluster?.leader);
    return leaders.includes(undefined) ? undefined : nodes.find((_node, n) => !leaders.includes(`n${n}`));
  });
}
