import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { silentLogger } from '#telemetry';
import { CatchUp, type ShardEnd } from './catch-up.js';

/** What the leader has of this shard, and of all others. */
class FakeLeader implements ShardEnd {
  last = 0;
  ofShard: number[] = [];
  isAway = false;
  readonly asked: string[] = [];

  async lastSeq(): Promise<number> {
    this.asked.push('end');
    if (this.isAway) throw new Error('no leader');
    return this.last;
  }

  async next(fromSeq: number): Promise<number | undefined> {
    this.asked.push(`next ${fromSeq}`);
    if (this.isAway) throw new Error('no leader');
    return this.ofShard.find((seq) => seq >= fromSeq);
  }
}

const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function setUp(last: number, ofShard: number[]) {
  const leader = new FakeLeader();
  Object.assign(leader, { last, ofShard });
  const told: string[] = [];
  const warned: string[] = [];
  const catchUp = new CatchUp({
    end: leader,
    onCaughtUp: () => void told.push('caught up'),
    onBehind: () => void told.push('behind'),
    log: { ...silentLogger, warn: (_fields: object, message: string) => void warned.push(message) },
  });
  return { leader, catchUp, told, warned };
}

it('a consumer that says it has nothing more is not believed while the leader has more (L1, L7)', async () => {
  const { leader, catchUp, told } = setUp(9, [3, 5, 8]);
  catchUp.open(2);
  catchUp.passed(2, true);
  await settle(30_000);
  expect(told).toEqual([]);
  catchUp.passed(3, true);
  catchUp.passed(5, true);
  await settle();
  expect(told).toEqual([]);
  // However long it took, nothing more is waited for now.
  catchUp.passed(8, true);
  await settle();
  expect(told).toEqual(['caught up']);
  expect(leader.asked.at(-1)).toBe('next 9');
  catchUp.stop();
});

it('an opening costs one question for the end and one for the next message, and no more', async () => {
  const { leader, catchUp, told } = setUp(9, [3]);
  catchUp.open(3);
  catchUp.passed(3, true);
  await settle();
  expect(told).toEqual(['caught up']);
  for (let seq = 10; seq < 20; seq++) catchUp.passed(seq, seq % 2 === 0);
  await settle(60_000);
  expect([told, leader.asked]).toEqual([['caught up'], ['end', 'next 4']]);
});

it('the end is fixed at the opening: a busy shard always gets more', async () => {
  const { leader, catchUp, told } = setUp(5, [4, 5]);
  catchUp.open(3);
  catchUp.passed(3, false);
  await settle();
  Object.assign(leader, { last: 900, ofShard: [4, 5, 700, 800, 900] });
  catchUp.passed(4, false);
  expect(told).toEqual([]);
  catchUp.passed(5, false);
  expect(told).toEqual(['caught up']);
  expect(leader.asked).toEqual(['end']);
});

it('does not wait for messages that are stored after the opening', async () => {
  const { leader, catchUp, told } = setUp(5, []);
  catchUp.open(3);
  await settle();
  Object.assign(leader, { last: 6, ofShard: [6] });
  catchUp.passed(3, true);
  await settle();
  expect(told).toEqual(['caught up']);
});

it('does not wait for a message that is removed before it is delivered', async () => {
  const { leader, catchUp, told } = setUp(9, [8]);
  catchUp.open(2);
  catchUp.passed(2, true);
  await settle();
  expect(told).toEqual([]);
  leader.ofShard = [];
  await settle(1_000);
  expect(told).toEqual(['caught up']);
});

it('ignores a consumer that counts delivered messages as pending: it delivers nothing, and the leader has nothing more', async () => {
  const { leader, catchUp, told } = setUp(9, [3, 5]);
  catchUp.open(2);
  catchUp.passed(3, false);
  catchUp.passed(5, false);
  await settle(1_000);
  expect(told).toEqual(['caught up']);
  expect(leader.asked).toEqual(['end', 'next 6']);
});

it('the leader is asked at the end of a long backlog, not after each of its messages', async () => {
  const { leader, catchUp, told } = setUp(1_000, [1_000]);
  catchUp.open(0);
  for (let seq = 1; seq < 900; seq++) {
    catchUp.passed(seq, false);
    await settle(10);
  }
  expect([told, leader.asked]).toEqual([[], ['end']]);
  catchUp.passed(1_000, false);
  expect(told).toEqual(['caught up']);
});

it('reports nothing before there is a consumer: until then no stored message is delivered', async () => {
  const { catchUp, told } = setUp(3, [3]);
  catchUp.open(3);
  await settle(1_000);
  expect(told).toEqual([]);
  catchUp.passed(3, false);
  expect(told).toEqual(['caught up']);
});

it('a leader that does not answer is asked again, more and more rarely, and is logged once', async () => {
  const { leader, catchUp, told, warned } = setUp(3, [3]);
  leader.isAway = true;
  catchUp.open(2);
  catchUp.passed(2, true);
  catchUp.passed(3, true);
  await settle(60_000);
  expect(told).toEqual([]);
  expect(leader.asked.length).toBeLessThan(20);
  expect(warned).toEqual(['cannot tell yet where a shard ends']);
  leader.isAway = false;
  await settle(5_000);
  expect(told).toEqual(['caught up']);
});

it('an opening discards earlier questions: the new consumer starts at another position', async () => {
  const { leader, catchUp, told } = setUp(5, []);
  catchUp.open(3);
  catchUp.passed(3, true);
  Object.assign(leader, { last: 7, ofShard: [6, 7] });
  catchUp.open(3);
  await settle();
  catchUp.passed(3, true);
  await settle();
  expect(told).toEqual([]);
  catchUp.passed(7, true);
  expect(told).toEqual(['caught up']);
  catchUp.stop();
});

it('is behind from a pause on until the leader has nothing more, even when no message comes', async () => {
  const { leader, catchUp, told } = setUp(5, [5]);
  catchUp.open(4);
  catchUp.passed(5, true);
  await settle();
  catchUp.lapse();
  catchUp.lapse();
  expect(told).toEqual(['caught up', 'behind']);
  Object.assign(leader, { last: 9, ofShard: [5, 9] });
  catchUp.resume();
  await settle();
  expect(told).toEqual(['caught up', 'behind']);
  catchUp.passed(9, true);
  catchUp.lapse();
  catchUp.resume();
  await settle();
  expect(told).toEqual(['caught up', 'behind', 'caught up', 'behind', 'caught up']);
});

it('with one replica the consumer is right, and after a pause its next report counts', async () => {
  const told: string[] = [];
  const catchUp = new CatchUp({
    ...{ end: undefined, log: silentLogger },
    onCaughtUp: () => void told.push('caught up'),
    onBehind: () => void told.push('behind'),
  });
  catchUp.open(3);
  catchUp.passed(3, true);
  expect(told).toEqual(['caught up']);
  catchUp.lapse();
  catchUp.resume();
  expect(told).toEqual(['caught up', 'behind']);
  catchUp.passed(4, false);
  catchUp.passed(5, true);
  expect(told).toEqual(['caught up', 'behind', 'caught up']);
});
