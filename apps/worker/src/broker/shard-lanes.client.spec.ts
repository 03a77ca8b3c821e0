import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Names, type SessionAnswer, type SessionTokens } from '#contracts';
import {
  applyTopology,
  BrokerConnection,
  declareTopology,
  PublishChannel,
  StreamReader,
  type StoredMessage,
} from '#jetstream';
import type { LaneProgress, LaneRunner } from '#lanes';
import type { ShardStart } from '#shards';
import { silentLogger, type Logger } from '#telemetry';
import { expectNothingLeft, startBroker, until, type TestBroker } from '#testing';
import { InboxLookup } from './inbox-lookup.client.js';
import { ShardLanesWork } from './shard-lanes.client.js';

const HANDED_OVER: ShardStart = { read: 0, tail: 0, open: [], isCrash: false };
let names: Names;
let broker: TestBroker;
let connection: BrokerConnection;
let channel: PublishChannel;
let namespaces = 0;
let works: ShardLanesWork[] = [];

beforeAll(async () => {
  broker = await startBroker();
  connection = await BrokerConnection.open({ url: broker.url, name: 'shards', log: silentLogger });
  channel = new PublishChannel(connection);
});

beforeEach(async () => {
  names = new Names(`n${++namespaces}`, 16);
  await applyTopology(connection, declareTopology(names, { replicas: 1, dedupWindowMs: 60_000 }), silentLogger);
});

afterEach(async () => {
  await Promise.all(works.map((work) => work.closeAll()));
  works = [];
});

afterAll(async () => {
  channel.close();
  await connection.close();
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

/** A session of the shard. */
function sessionOf(shard: number): SessionTokens {
  for (let i = 0; ; i++) {
    const key = names.sessionTokens('main', `s${i}`);
    if (key.shard === shard) return key;
  }
}

async function store(...shards: number[]): Promise<void> {
  for (const shard of shards) {
    const outcome = await channel.publish(names.ingestSubject(sessionOf(shard)), '{}', {});
    expect(outcome.kind).toBe('stored');
  }
}

/** Lanes that record calls. The spec sets the progress of a shard. */
class RecordingLanes {
  readonly calls: string[] = [];
  readonly starts = new Map<number, LaneProgress>();
  readonly read = new Map<number, number>();
  /** Shards whose consumer is there, for the reader too. */
  readonly caught = new Set<number>();
  progressNow: LaneProgress | undefined = { read: 3, tail: 4, open: [{ session: 'main.s', from: 2 }] };
  overrun: () => Promise<void> = () => Promise.resolve();
  readonly work = { discardOverrun: () => this.overrun() };

  openShard(shard: number, start: LaneProgress): void {
    this.calls.push(`open ${shard}`);
    this.starts.set(shard, start);
  }
  receive({ shard }: SessionTokens, { seq }: { seq: number }): void {
    this.calls.push(`receive ${shard} ${seq}`);
    this.read.set(shard, seq);
  }
  receiveFor(shard: number, _id: string, { seq }: { seq: number }): void {
    this.calls.push(`receive ${shard} ${seq}`);
  }
  askForRoom(): boolean {
    return true;
  }
  onRoom(): void {}
  receivedOpen(): void {}
  caughtUp(shard: number): void {
    this.caught.add(shard);
  }
  fellBehind(): void {}
  sawNothingUpTo(shard: number, seq: number): void {
    this.calls.push(`nothing in ${shard} up to ${seq}`);
    this.read.set(shard, seq);
  }
  readTo(shard: number): number {
    return this.read.get(shard) ?? 0;
  }
  progress(): LaneProgress | undefined {
    return this.progressNow;
  }
  runningIn(shard: number): number {
    return shard * 10;
  }
  releaseShard(shard: number, maxHandoffs: number): Promise<LaneProgress> {
    this.calls.push(`release ${shard} ${maxHandoffs}`);
    return Promise.resolve(this.progressNow as LaneProgress);
  }
  dropShard(shard: number): void {
    this.calls.push(`drop ${shard}`);
  }
  resume(shard: number): void {
    this.calls.push(`go on ${shard}`);
  }
}

/** Counts requests to the leader, and can delay them. */
class CountingReader extends StreamReader {
  readonly asked: string[] = [];
  beforeNext: () => Promise<void> = () => Promise.resolve();

  override leaderLastSeq(stream: string): Promise<number> {
    this.asked.push(`end of ${stream}`);
    return super.leaderLastSeq(stream);
  }
  override async leaderNext(stream: string, subject: string, fromSeq: number): Promise<StoredMessage | undefined> {
    this.asked.push(`next from ${fromSeq}`);
    await this.beforeNext();
    return super.leaderNext(stream, subject, fromSeq);
  }
}

function setUp() {
  const lanes = new RecordingLanes();
  const reader = new CountingReader(connection);
  const known: number[] = [];
  const warned: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_fields: object, message: string) => void warned.push(message) };
  const work = new ShardLanesWork({
    ...{ connection, reader, names, log },
    lanes: lanes as unknown as LaneRunner,
    lookup: new InboxLookup({ connection, reader, names, isReplicated: false, log: silentLogger }),
    knowTurnsUpTo: (seq) => void known.push(seq),
    describe: async ({ sessionToken }, shard) => answerOf(`${shard}/${sessionToken}`),
  });
  works.push(work);
  return { lanes, reader, known, warned, work };
}

function answerOf(worker: string): SessionAnswer {
  return { state: 'idle', depth: 0, oldestMs: null, worker };
}

/** The answer about a session of the shard, or `no responder`. */
async function ask(shard: number): Promise<string> {
  const question = JSON.stringify({ agentToken: 'main', sessionToken: 's' });
  try {
    const answer = await connection.nc.request(names.shardRpcSubject(shard), question, { timeout: 2_000 });
    return answer.json<SessionAnswer>().worker;
  } catch (error) {
    return String(error).includes('no responders') ? 'no responder' : String(error);
  }
}

const consumers = async (): Promise<number> =>
  (await connection.jsm.streams.info(names.inboxStream)).state.consumer_count;

describe('a shard that was handed over', () => {
  it('begins where the last owner was, without a request', async () => {
    const { lanes, reader, known, work } = setUp();
    await store(5, 5, 5);
    const open = [{ session: `main.${sessionOf(5).sessionToken}`, from: 1, holder: 'b/1', since: 2 }];
    await work.open(5, { read: 2, tail: 9, open, isCrash: false });
    expect(lanes.starts.get(5)).toEqual({ read: 2, tail: 9, open, isCrash: false, crash: undefined });
    expect(known).toEqual([9]);
    expect(reader.asked).toEqual([]);
    await until('it is read', () => lanes.calls.includes('receive 5 3'));
    // The lanes know the shard before any message of it arrives.
    expect(lanes.calls[0]).toBe('open 5');
  });

  it('answers for its sessions exactly as long as it is ours', async () => {
    const { work } = setUp();
    expect(await ask(5)).toBe('no responder');
    await work.open(5, HANDED_OVER);
    await work.open(6, HANDED_OVER);
    expect([await ask(5), await ask(6)]).toEqual(['5/s', '6/s']);
    await work.release(5, 1);
    work.drop(6);
    expect([await ask(5), await ask(6)]).toEqual(['no responder', 'no responder']);
  });
});

it('a crash that is not fully fenced is handed on with the shard', async () => {
  const { lanes, work } = setUp();
  const crash = { upTo: 7, tail: 3 };
  await work.open(5, { ...HANDED_OVER, crash, isCrash: false });
  expect(lanes.starts.get(5)).toMatchObject({ crash });
});

describe('a shard whose owner crashed', () => {
  it('begins after everything that the dead owner may have written or begun', async () => {
    const { lanes, known, work } = setUp();
    await store(5, 5, 6, 5);
    for (let i = 0; i < 2; i++) await channel.publish(names.turnsSubject(sessionOf(6)), '{}', {});
    await work.open(5, { ...HANDED_OVER, tail: 1, isCrash: true });
    expect(lanes.starts.get(5)).toMatchObject({ read: 0, tail: 2, crash: { upTo: 4, tail: 2 } });
    expect(known).toEqual([2]);
  });

  it('begins only when the broker is back and both ends are known', async () => {
    const { lanes, work } = setUp();
    await store(5);
    await broker.kill9();
    await until('the connection is down', () => !connection.isUp);
    const opening = work.open(5, { ...HANDED_OVER, isCrash: true });
    await broker.restart();
    await opening;
    expect(lanes.starts.get(5)).toMatchObject({ tail: 0, crash: { upTo: 1, tail: 0 } });
  }, 30_000);

  it('and the other shards of that owner ask for each end once', async () => {
    const { reader, work } = setUp();
    await Promise.all([1, 2, 3, 4, 5].map((shard) => work.open(shard, { ...HANDED_OVER, isCrash: true })));
    expect(reader.asked).toEqual([`end of ${names.turnsStream}`, `end of ${names.inboxStream}`]);
  });

  it('gets no answer from before its request', async () => {
    const { lanes, work } = setUp();
    const first = work.open(5, { ...HANDED_OVER, isCrash: true });
    await first;
    await store(5, 6);
    await work.open(6, { ...HANDED_OVER, isCrash: true });
    expect([lanes.starts.get(5), lanes.starts.get(6)]).toMatchObject([{ crash: { upTo: 0 } }, { crash: { upTo: 2 } }]);
  });
});

describe('the progress of a shard', () => {
  it('is unknown before the shard is opened, and after it is closed', async () => {
    const { work } = setUp();
    expect(await work.progress(5)).toBeUndefined();
    await work.open(5, HANDED_OVER);
    expect(await work.progress(5)).toBeDefined();
    await work.release(5, 1);
    expect(await work.progress(5)).toBeUndefined();
  });

  it('is the progress of the lanes', async () => {
    const { lanes, work } = setUp();
    await work.open(5, HANDED_OVER);
    expect(await work.progress(5)).toEqual({ read: 3, tail: 4, open: [{ session: 'main.s', from: 2 }] });
    lanes.progressNow = undefined;
    expect(await work.progress(5)).toBeUndefined();
  });

  it('rises to the end of the inbox when the shard has no unread message: an idle shard must not keep the floor low', async () => {
    const { lanes, work } = setUp();
    await work.open(5, HANDED_OVER);
    await store(6, 7, 6);
    await work.progress(5);
    await work.progress(5);
    expect(lanes.calls).toContain('nothing in 5 up to 3');
  });

  it('rises only to an end that an earlier call has seen: two leaders may answer one call (L3)', async () => {
    const { lanes, work, reader } = setUp();
    await work.open(5, HANDED_OVER);
    await store(6, 6);
    await work.progress(5);
    // The new leader has one more message of this shard. "Nothing there" comes from the old leader, which has not got
    // that message.
    reader.leaderLastSeq = async () => 3;
    await work.progress(5);
    expect(lanes.calls.filter((call) => call.startsWith('nothing'))).toEqual(['nothing in 5 up to 2']);
  });

  it('rises only to the current end: a rewound inbox ends before the end seen earlier', async () => {
    const { lanes, work, reader } = setUp();
    await work.open(5, HANDED_OVER);
    await store(6, 6, 6);
    await work.progress(5);
    reader.leaderLastSeq = async () => 2;
    await work.progress(5);
    expect(lanes.calls.filter((call) => call.startsWith('nothing'))).toEqual(['nothing in 5 up to 2']);
  });

  it('does not pass unread messages', async () => {
    const { lanes, work, reader } = setUp();
    await work.open(5, HANDED_OVER);
    await until('it is being read', async () => (await consumers()) === 1);
    await store(6, 6);
    await work.progress(5);
    // Stored between the request for the end and the one for messages after `read`.
    reader.beforeNext = () => store(5);
    await work.progress(5);
    expect(lanes.calls.filter((call) => call.startsWith('nothing'))).toEqual([]);
  });

  it('rises only to the end that it saw first: a message stored during the call may be of the shard', async () => {
    const { lanes, work, reader } = setUp();
    await work.open(5, HANDED_OVER);
    await store(6, 6);
    await work.progress(5);
    reader.beforeNext = () => store(6, 6);
    await work.progress(5);
    expect(lanes.calls.filter((call) => call.startsWith('nothing'))).toEqual(['nothing in 5 up to 2']);
  });

  it('asks for no message after the end, and not again for a part that was empty', async () => {
    const { work, reader } = setUp();
    await work.open(5, HANDED_OVER);
    await store(6, 6);
    const end = `end of ${names.inboxStream}`;
    for (let look = 0; look < 3; look++) await work.progress(5);
    expect(reader.asked).toEqual([end, end, 'next from 1', end]);
    await store(6);
    for (let look = 0; look < 3; look++) await work.progress(5);
    expect(reader.asked.slice(4)).toEqual([end, end, 'next from 3', end]);
  });

  it('of many shards needs one request for the end', async () => {
    const { work, reader } = setUp();
    const shards = [1, 2, 3, 4, 5];
    for (const shard of shards) await work.open(shard, HANDED_OVER);
    await Promise.all(shards.map((shard) => work.progress(shard)));
    expect(reader.asked).toEqual([`end of ${names.inboxStream}`]);
  });

  it('is unknown while the broker is away', async () => {
    const { work, reader } = setUp();
    await work.open(5, HANDED_OVER);
    await store(6);
    await work.progress(5);
    reader.beforeNext = () => Promise.reject(new Error('away'));
    expect(await work.progress(5)).toBeUndefined();
  });
});

describe('a shard that is given away', () => {
  it('is not read from that moment on, and reports its progress when its lanes are released', async () => {
    const { lanes, work } = setUp();
    await work.open(5, HANDED_OVER);
    await until('it is being read', () => lanes.caught.has(5));
    expect(await consumers()).toBe(1);
    const released = work.release(5, 256);
    await store(5);
    expect(await released).toEqual({ read: 3, tail: 4, open: [{ session: 'main.s', from: 2 }] });
    expect(lanes.calls).toEqual(['open 5', 'release 5 256']);
    await until('its consumer is gone', async () => (await consumers()) === 0);
    expect(lanes.calls).toHaveLength(2);
  });

  it('does not wait for the removal of its consumer; only `closeAll` does', async () => {
    const { lanes, work } = setUp();
    for (const shard of [1, 2, 3]) await work.open(shard, HANDED_OVER);
    await until('they are being read', () => lanes.caught.size === 3);
    expect(await consumers()).toBe(3);
    await work.release(1, 256);
    work.drop(2);
    await work.closeAll();
    expect(await consumers()).toBe(0);
  });
});

describe('a shard that was lost', () => {
  it('is dropped at once: it is not read any more, and results of its running turns do not count', async () => {
    const { lanes, work } = setUp();
    await work.open(5, HANDED_OVER);
    work.drop(5);
    await store(5);
    await work.closeAll();
    expect(lanes.calls).toEqual(['open 5', 'drop 5']);
  });

  it('is dropped also before its work began', () => {
    const { lanes, work } = setUp();
    work.drop(5);
    expect(lanes.calls).toEqual(['drop 5']);
  });

  it('can be ours again', async () => {
    const { lanes, work } = setUp();
    await work.open(5, HANDED_OVER);
    work.drop(5);
    await work.open(5, { ...HANDED_OVER, read: 0 });
    await store(5);
    await until('it is read', () => lanes.calls.includes('receive 5 1'));
    expect(lanes.calls).toEqual(['open 5', 'drop 5', 'open 5', 'receive 5 1']);
    expect(await ask(5)).toBe('5/s');
  });
});

describe('the source of all shards', () => {
  it('ends where the inbox ends, and knows the highest sequence that was read here', async () => {
    const { work, lanes } = setUp();
    expect([await work.lastSourceSeq(), work.highestRead]).toEqual([0, 0]);
    await store(5, 6, 7);
    await work.open(5, HANDED_OVER);
    await work.open(6, HANDED_OVER);
    await until('both are read', () => lanes.calls.filter((call) => call.startsWith('receive')).length === 2);
    expect([await work.lastSourceSeq(), work.highestRead]).toEqual([3, 2]);
  });
});

describe('the lanes', () => {
  it('report the running turns of a shard, and pass `resume` on', async () => {
    const { lanes, work } = setUp();
    expect(work.running(3)).toBe(30);
    work.resume(4);
    expect(lanes.calls).toEqual(['go on 4']);
  });

  it('check turns in handoff, and a failed check ends nothing', async () => {
    const { lanes, warned, work } = setUp();
    let looks = 0;
    lanes.overrun = () => (looks++ === 0 ? Promise.resolve() : Promise.reject(new Error('away')));
    work.recheckHandoffs();
    work.recheckHandoffs();
    await until('the failure is told', () => warned.length === 1);
    expect([looks, warned]).toEqual([2, ['checking turns in handoff failed']]);
  });
});

it('`progress` is unknown when the shard was lost and came back during the call', async () => {
  const { lanes, reader, work } = setUp();
  await store(5, 5, 6);
  await work.open(5, HANDED_OVER);
  await until('it is read', () => lanes.calls.includes('receive 5 2'));
  await work.progress(5);
  reader.beforeNext = async () => {
    work.drop(5);
    // As in the lease, which is written only every few seconds.
    lanes.read.delete(5);
    await work.open(5, HANDED_OVER);
    lanes.calls.length = 0;
  };
  expect(await work.progress(5)).toBeUndefined();
  expect(lanes.calls.filter((call) => call.startsWith('nothing'))).toEqual([]);
});
