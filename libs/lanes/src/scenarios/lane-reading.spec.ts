import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cancelOrder, decisionsOf } from './lane-process.fixture.js';
import { BATCH, setUpReading, UnreadInbox, UnreadReader } from './lane-reading.fixture.js';
import { rawMessage, sessionKey, settled } from './lane-runner.fixture.js';
import { MEMORY_LIMITS } from '../runner/lane-runner-options.js';

/** What waits for a slot of a shard before no more of it is read, with few slots; a batch of the reader may come on top. */
const MOST_WAITING = 256;
const MOST_LANES = MOST_WAITING + BATCH + 2;

describe('a flood of new sessions', () => {
  it('fills no memory while turns hang, and each message is decided once when they go on', async () => {
    const { runner, reader, flood, pass, endAll, decided } = setUpReading();
    flood(2_000);
    await pass(100);
    expect(runner.running).toBe(2);
    const { lanes, waitingBytes } = runner.memory;
    await pass(200_000);
    expect(runner.memory).toEqual({ lanes, waitingBytes });
    expect(lanes).toBeLessThanOrEqual(MOST_LANES);
    expect([runner.waiting, runner.paused]).toEqual([lanes - 2, 1]);
    await endAll();
    expect([reader.unread, runner.waiting]).toEqual([0, 0]);
    expect(decided()).toEqual(Array.from({ length: 2_000 }, () => 1));
  });

  it('L5 begins in the order in which it was stored, over several shards', async () => {
    const { runner, ahead, clock, turns, reader } = setUpReading();
    runner.openShard(1, { read: 0, tail: 0, open: [] });
    for (let i = 0; i < 600; i++) ahead.store(`s${i}`, {}, { shard: (i * 7) % 10 < 8 ? 0 : 1 });
    const other = new UnreadReader(ahead, runner, 1, (delayMs, fn) => clock.after(delayMs, fn));
    reader.read();
    await settled();
    for (let i = 0; i < 600; i++) {
      turns.started[i]?.end();
      await settled();
    }
    const seqs = turns.started.map((turn) => turn.seqs[0]);
    // The first two slots are taken as the shards are read for the first time.
    expect(seqs.slice(2)).toEqual(seqs.slice(2).toSorted((a, b) => Number(a) - Number(b)));
    expect([seqs.length, reader.unread, other.unread]).toEqual([600, 0, 0]);
  });

  it('L5 no slot is free while something is unread, whatever lanes wait for', async () => {
    const strategies = ['queue', 'fifo', 'collect', 'concurrent', 'debounce'] as const;
    const message = fc.record({ session: fc.nat(400), strategy: fc.constantFrom(...strategies) });
    const property = fc.asyncProperty(
      fc.array(message, { minLength: 150, maxLength: 500 }),
      fc.integer({ min: 1, max: 9 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 9 })),
      async (messages, capacity, dice) => {
        const { runner, ahead, reader, turns, pass, decided, clock } = setUpReading({ capacity });
        for (const { session, strategy } of messages) ahead.store(`s${session}`, { strategy });
        for (let left = 2_000; left > 0 && (reader.unread > 0 || turns.active.size > 0); left--) {
          await pass(60);
          expect(reader.unread === 0 || runner.running === capacity).toBe(true);
          const die = dice.next().value as number;
          for (const turn of turns.active.values()) if (die < 8 || turn === turns.started[0]) turn.end();
          await settled();
        }
        for (let left = 30; left > 0; left--) {
          await pass(2_000);
          for (const turn of turns.active.values()) turn.end();
        }
        await clock.advance(1_000);
        expect(decided()).toEqual(messages.map(() => 1));
        expect(turns.violations).toEqual([]);
      },
    );
    await fc.assert(property, { numRuns: 25 });
  });

  it('L5 one session with a long backlog is one lane: it keeps nothing of its shard unread', async () => {
    const { runner, ahead, reader, turns, pass } = setUpReading({ laneBuffer: 4 });
    for (let i = 0; i < 1_000; i++) ahead.store('hot');
    ahead.store('late');
    await pass(100);
    expect([reader.unread, runner.paused, runner.waiting]).toEqual([0, 0, 0]);
    expect([...turns.active.keys()]).toEqual(['hot', 'late']);
  });

  it('of sessions that all wait for their next attempt is bounded too, and goes on when they do', async () => {
    const openLanes = 200;
    const memory = { ...MEMORY_LIMITS, openLanes, idleLanes: 0 };
    const { runner, reader, turns, flood, pass, decided } = setUpReading({ capacity: 100, memory });
    flood(1_000);
    let most = 0;
    for (let left = 10_000; left > 0 && decided().includes(0); left--) {
      await pass(100);
      for (const turn of turns.active.values()) turn.fail('Boom');
      most = Math.max(most, runner.memory.lanes);
    }
    expect([most > openLanes, most <= openLanes + BATCH, reader.unread]).toEqual([true, true, 0]);
    expect(decided()).toEqual(Array.from({ length: 1_000 }, () => 1));
  });

  it('whose messages expire while all turns hang makes room for the rest, which expires in time too', async () => {
    const { runner, reader, turns, flood, pass, records } = setUpReading({ queueing: { queueTimeoutMs: 5_000 } });
    flood(1_000);
    // The broker's stamps lie between 900 ms and 1,900 ms.
    await pass(6_500);
    expect([reader.unread, runner.waiting, turns.started.length]).toEqual([0, 0, 2]);
    for (const i of [2, 500, 999])
      expect(records.of(`new-${i}`).flatMap(({ messages }) => messages)).toMatchObject([
        { decision: 'expired', reason: 'queue-timeout' },
      ]);
  });
});

describe('while its shard is read no further', () => {
  /** Session a runs, and so does another; behind the flood lies what the spec stores next. */
  async function behindFlood(options: Parameters<typeof setUpReading>[0] = {}, body: object = {}) {
    const reading = setUpReading(options);
    reading.ahead.store('a', body);
    reading.ahead.store('b');
    reading.flood(500);
    await reading.pass(100);
    expect(reading.runner.paused).toBe(1);
    return reading;
  }

  it('L6 an order to a turn that hangs acts within about a second, and nothing else is read for it', async () => {
    const { runner, ahead, pass, turns, records, reader, endAll, decided } = await behindFlood();
    const { unread } = reader;
    const { lanes } = runner.memory;
    const seq = ahead.store('a', cancelOrder({ what: 'session' }));
    await pass(1_100);
    turns.active.get('a')?.end();
    await settled();
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'cancelled'],
      [seq, 'handled'],
    ]);
    expect([reader.unread, runner.memory.lanes]).toEqual([unread + 1, lanes]);
    await endAll();
    expect(decided()).toEqual(ahead.stored.map(() => 1));
  });

  it('L6 an order to a message that waits for a slot keeps it from its turn', async () => {
    const { ahead, pass, records, endAll, started } = await behindFlood();
    ahead.store('new-20', cancelOrder({ what: 'session' }));
    await pass(1_100);
    expect(decisionsOf(records.of('new-20'))[0]).toEqual([21, 'cancelled']);
    await endAll();
    expect(started('new-20')).toEqual([]);
  });

  it('the sender of a message that is dropped because the session is busy is told within about a second', async () => {
    const { ahead, pass, records } = await behindFlood({ queueing: { strategy: 'drop' } });
    const seq = ahead.store('a');
    await pass(1_100);
    expect(decisionsOf(records.of('a'))).toEqual([[seq, 'dropped']]);
  });

  it.each([
    ['that was read to its end before', 1],
    ['that was never read to its end', 0],
  ])('a window is judged with all that was stored before its end, in a shard %s', async (_which, before) => {
    const strategy = 'collect';
    const { ahead, clock, pass, reader, turns, endAll, started } = setUpReading();
    for (let i = 0; i < before; i++) ahead.store('before');
    await pass(100);
    await endAll();
    ahead.store('a', { strategy }, { storedAtMs: clock.now() });
    for (let i = 0; i < 400; i++) ahead.store(`new-${i}`);
    await pass(1_200);
    // The look ahead does not want it before the window of the first one is over.
    const seq = ahead.store('a', { strategy }, { storedAtMs: clock.now() });
    await pass(320);
    for (const turn of turns.active.values()) turn.end();
    await settled();
    expect([started('a'), turns.active.size]).toEqual([[], 2]);
    await pass(3_000);
    for (const turn of turns.active.values()) turn.end();
    await settled();
    expect(reader.unread).toBeGreaterThan(0);
    expect(started('a').map(({ seqs }) => seqs)).toEqual([[before + 1, seq]]);
  });

  it('a window that ended while older messages of its session were still to come is judged when the shard is read', async () => {
    const open = [{ session: 'main.a', from: 1 }];
    const { runner, ahead, reader, pass, endAll, started } = setUpReading({ from: { read: 1, tail: 0, open } });
    ahead.store('b');
    await pass(100);
    for (let i = 0; i < 300; i++) ahead.store(`new-${i}`);
    await pass(100);
    runner.receive(sessionKey('a'), rawMessage(1, { strategy: 'collect' }));
    await pass(12_000);
    runner.receivedOpen(sessionKey('a'));
    await endAll();
    expect([reader.unread, started('a').length]).toEqual([0, 1]);
  });

  it('L6 an order to what a dead owner may have begun acts, before it is known how much of it began', async () => {
    const { ahead, flood, pass, records, reader, runner } = setUpReading({ isRecovery: true });
    ahead.store('a', { strategy: 'collect' });
    const seq = ahead.store('a', cancelOrder({ what: 'session' }));
    flood(500);
    await pass(3_000);
    expect([runner.paused, reader.unread > 0]).toEqual([1, true]);
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'cancelled'],
      [seq, 'handled'],
    ]);
  });

  it('an open session without messages is forgotten, and does not count as one with something undecided', async () => {
    const open = [{ session: 'main.a', from: 1 }];
    const memory = { ...MEMORY_LIMITS, openLanes: 1, idleLanes: 0 };
    const { runner } = setUpReading({ from: { read: 1, tail: 0, open }, memory });
    await settled();
    runner.receivedOpen(sessionKey('a'));
    expect([runner.memory.lanes, runner.askForRoom(0)]).toEqual([0, true]);
  });

  it('a number that is stored is not given up', async () => {
    const { ahead, pass, endAll, started } = await behindFlood({}, { sequence: 0 });
    ahead.store('a', { sequence: 2 });
    await pass(1_100);
    for (let i = 0; i < 100; i++) ahead.store(`more-${i}`);
    await pass(1_250);
    // The look ahead does not want it before the wait for it is over.
    const seq = ahead.store('a', { sequence: 1 });
    await pass(2_000);
    await endAll();
    expect(started('a').flatMap(({ seqs }) => seqs)).toEqual([1, seq, seq - 101]);
  });

  it('a shard that is given away is read on by the next owner where the reader was, and nothing is decided twice (L1, L3)', async () => {
    const former = await behindFlood();
    const seq = former.ahead.store('a');
    await former.pass(1_100);
    expect(former.runner.describe(sessionKey('a')).depth).toBe(1);
    const readTo = former.runner.readTo(0);
    expect(readTo).toBeLessThan(seq);
    former.reader.isStopped = true;
    const from = await former.runner.releaseShard(0);
    expect([from.read, from.open.find(({ session }) => session === 'main.a')]).toMatchObject([readTo, { from: 1 }]);
    former.turns.active.get('a')?.end();
    former.turns.active.get('b')?.end();
    await settled();
    const next = setUpReading({ ...{ records: former.records, inbox: readFrom(former.ahead, readTo) }, from });
    for (const { session, from: first } of from.open) {
      const name = session.slice('main.'.length);
      for (const { key, raw } of former.ahead.stored)
        if (key.sessionToken === name && raw.seq >= first && raw.seq <= readTo) next.runner.receive(key, raw);
      next.runner.receivedOpen(sessionKey(name));
    }
    await next.pass(2_000);
    await next.endAll();
    expect(former.decided()).toEqual(former.ahead.stored.map(() => 1));
  });
});

/** The rest of an inbox. */
function readFrom({ stored }: UnreadInbox, readTo: number): UnreadInbox {
  const rest = new UnreadInbox();
  rest.stored.push(...stored.filter(({ raw }) => raw.seq > readTo));
  return rest;
}
