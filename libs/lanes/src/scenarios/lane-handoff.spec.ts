import { describe, expect, it } from 'vitest';
import type { CancelTarget } from '#contracts';
import { seqsOf, setUpHandoffs, WHOLE_SESSION, type Process } from './lane-handoff.fixture.js';
import { cancelOrder, decisionsOf } from './lane-process.fixture.js';
import { rawMessage, sessionKey, settled } from './lane-runner.fixture.js';

describe('a cancel of a held session', () => {
  it('is passed to the holder again and again, until the record shows it', async () => {
    const { clock, records, passed, line, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    const { signal } = a.turn('a');
    line.isCut = true;
    await b.receive('a', 2);
    await b.receive('a', 3, cancelOrder(WHOLE_SESSION));
    const each = { holder: 'A/1', session: 'a', target: WHOLE_SESSION };
    expect(passed).toEqual([each]);
    await clock.advance(3_120);
    expect(passed).toEqual([each, each, each]);
    expect([signal.aborted, records.writes]).toEqual([false, 0]);
    line.isCut = false;
    await clock.advance(5);
    expect([signal.aborted, passed.length]).toEqual([true, 4]);
    // The handler answers within its grace; its success does not count.
    await a.end('a');
    await clock.advance(5);
    expect(records.of('a')).toMatchObject([
      { kind: 'turn', worker: 'A/1', status: 'cancelled', messages: [{ seq: 1, decision: 'cancelled' }] },
      {
        kind: 'note',
        worker: 'B/1',
        messages: [
          { seq: 2, decision: 'cancelled' },
          { seq: 3, decision: 'handled' },
        ],
      },
    ]);
    const count = passed.length;
    await clock.advance(5_000);
    expect([passed.length, seqsOf(b)]).toEqual([count, []]);
  });

  it.each<[string, CancelTarget]>([
    ['another message', { what: 'message', seq: 2 }],
    ['another run', { what: 'run', runId: 'other' }],
  ])('for %s leaves the held turn alone', async (_title, target) => {
    const { clock, records, passed, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    await b.receive('a', 2);
    await b.receive('a', 3, cancelOrder(target));
    await clock.advance(2_500);
    expect([passed.length > 1, a.turn('a').signal.aborted]).toEqual([true, false]);
    await a.end('a');
    await clock.advance(5);
    expect(records.of('a')[0]).toMatchObject({ status: 'succeeded', messages: [{ seq: 1, decision: 'handled' }] });
    expect(decisionsOf(records.of('a')).at(-1)).toEqual([3, 'handled']);
  });

  it('for its run stops the held turn', async () => {
    const { clock, records, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    const { runId } = a.turn('a').batch;
    await b.receive('a', 2);
    await b.receive('a', 3, cancelOrder({ what: 'run', runId }));
    expect(a.turn('a').signal.aborted).toBe(true);
    await a.end('a');
    await clock.advance(5);
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'cancelled'],
      [3, 'handled'],
    ]);
    expect(seqsOf(b)).toEqual([[2]]);
  });

  it('for one message of the held batch cancels that one; the owner runs the others, as another run', async () => {
    const { clock, records, start } = setUpHandoffs();
    const a = start('A/1');
    a.closed.add('head');
    for (const seq of [1, 2]) await a.receive('a', seq);
    await a.open();
    expect(seqsOf(a)).toEqual([[1, 2]]);
    const b = start('B/1', { from: await a.runner.releaseShard(0) });
    for (const seq of [1, 2]) await b.receive('a', seq);
    await b.receive('a', 3, cancelOrder({ what: 'message', seq: 2 }));
    expect(a.turn('a').signal.aborted).toBe(true);
    await a.end('a');
    await clock.advance(5);
    expect(decisionsOf(records.of('a'))).toEqual([
      [2, 'cancelled'],
      [3, 'handled'],
    ]);
    expect(b.turn('a').seqs).toEqual([1]);
    expect(b.started('a')[0]?.runId).not.toBe(a.started('a')[0]?.runId);
  });

  it('reaches the own held turn of a process that has the shard again', async () => {
    const { clock, records, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    a.runner.openShard(0, await b.runner.releaseShard(0));
    await a.receive('a', 1);
    await a.receive('a', 2, cancelOrder(WHOLE_SESSION));
    expect(a.turn('a').signal.aborted).toBe(true);
    await clock.advance(200 + 5);
    expect(a.runner.leaked).toBe(1);
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'cancelled'],
      [2, 'handled'],
    ]);
  });

  it('that comes late does not meet a turn that its holder has begun since, as the owner: that is behind the order', async () => {
    const { clock, records, line, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    line.isCut = true;
    await b.receive('a', 2, cancelOrder(WHOLE_SESSION));
    await a.end('a');
    await clock.advance(5);
    a.runner.openShard(0, await b.runner.releaseShard(0));
    await a.receive('a', 3);
    a.runner.work.cancelInHandoff(sessionKey('a'), WHOLE_SESSION);
    expect(a.turn('a').signal.aborted).toBe(false);
    await a.end('a');
    expect(decisionsOf(records.of('a'))).toEqual([
      [1, 'handled'],
      [2, 'handled'],
      [3, 'handled'],
    ]);
  });

  it('finds nothing at a process that does not run the session', () => {
    const { start } = setUpHandoffs();
    const { runner } = start('A/1');
    expect(() => runner.work.cancelInHandoff(sessionKey('a'), WHOLE_SESSION)).not.toThrow();
    expect(runner.work.find(sessionKey('a'))).toBeUndefined();
  });
});

describe('what is handed on', () => {
  it('L3 names no holder for a turn whose record stands when the shard is released: nothing would end that hold', async () => {
    const { start } = setUpHandoffs();
    const a = start('A/1');
    await a.receive('a', 1);
    a.closed.add('ack');
    await a.end('a');
    const released = a.runner.releaseShard(0);
    await a.open();
    expect(await released).toEqual({ read: 1, tail: 1, open: [] });
  });

  it('L3 nor for one whose failure is noted then', async () => {
    const { clock, start } = setUpHandoffs();
    const a = start('A/1');
    await a.receive('a', 1);
    a.closed.add('write');
    await a.fail('a');
    const released = a.runner.releaseShard(0);
    await a.open();
    expect(await released).toEqual({ read: 1, tail: 1, open: [{ session: 'main.a', from: 1 }] });
    const b = start('B/1', { from: await released });
    await b.receive('a', 1);
    await clock.advance(1_000);
    expect(b.turn('a').batch).toMatchObject({ attempt: 2, failures: 1 });
  });

  it.each(['end', 'fail'] as const)(
    'L3 nor in any moment of a turn that has its %s, unless a record is still to come',
    async (how) => {
      for (let ticks = 0; ticks < 30; ticks++) {
        const { records, start } = setUpHandoffs();
        const a = start('A/1');
        await a.receive('a', 1);
        void a[how]('a');
        for (let i = 0; i < ticks; i++) await Promise.resolve();
        const { open, tail } = await a.runner.releaseShard(0);
        await settled();
        const { seq } = records.head('a');
        expect(seq).toBe(1);
        const [lane] = open;
        if (lane?.holder !== undefined) expect(lane).toEqual({ session: 'main.a', from: 1, holder: 'A/1', since: 0 });
        else expect([open, tail]).toEqual([how === 'end' ? [] : [{ session: 'main.a', from: 1 }], 1]);
      }
    },
  );

  it('L4 a turn that begins behind its note is in handoff, or does not begin, at each moment at which the shard may be released', async () => {
    for (let ticks = 0; ticks < 30; ticks++) {
      const { start } = setUpHandoffs();
      const dead = start('D/1');
      await dead.receive('a', 1);
      dead.kill();
      const a = start('A/1', { isRecovery: true });
      a.runner.receive(sessionKey('a'), rawMessage(1));
      for (let i = 0; i < ticks; i++) await Promise.resolve();
      const { open } = await a.runner.releaseShard(0);
      await settled();
      const hasBegun = a.turns.started.length === 1;
      expect(open.map(({ holder }) => holder)).toEqual([hasBegun ? 'A/1' : undefined]);
    }
  });

  it('has the record that ended a hold in its tail: a lagging replica must not hide it from the next owner', async () => {
    const { clock, records, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    await a.end('a');
    await clock.advance(5);
    expect(records.head('a').seq).toBe(1);
    expect(b.runner.progress(0)).toEqual({ read: 1, tail: 1, open: [] });
  });

  it('L3 names no holder for a turn that another record has made worthless: it ends without a record of its own', async () => {
    const { clock, records, start } = setUpHandoffs();
    const zombie = start('Z/1');
    await zombie.receive('a', 1);
    const a = start('A/1');
    for (const seq of [1, 2]) await a.receive('a', seq);
    await zombie.end('a');
    await a.receive('a', 3, 'rubbish');
    expect([a.turn('a').seqs, decisionsOf(records.of('a')).length]).toEqual([[1], 2]);
    const { signal } = a.turn('a');
    const from = await a.runner.releaseShard(0);
    expect(from.open).toEqual([{ session: 'main.a', from: expect.any(Number) }]);
    // Nor does it go on beside what the next owner runs (L1).
    expect([signal.aborted, a.turns.active.size, a.runner.discarded]).toEqual([true, 0, 1]);
    const b = start('B/1', { from });
    for (const seq of [1, 2, 3]) await b.receive('a', seq);
    await clock.advance(5_000);
    expect(seqsOf(b)).toEqual([[2]]);
  });

  it.each([
    { title: 'waits for a slot', session: 'b', crashes: 1, capacity: 1 },
    { title: 'waits for its quarantine', session: 'b', crashes: 2, capacity: 100 },
    { title: 'was not looked up yet', session: 'b', crashes: 1, capacity: 100 },
  ])('L4 that a dead owner may have begun a batch is not forgotten while it $title', async (lane) => {
    const { clock, records, start } = setUpHandoffs();
    const { capacity, crashes } = lane;
    const receiveBoth = async (to: Process): Promise<void> => {
      for (const [i, session] of ['a', 'b'].entries()) await to.receive(session, i + 1);
    };
    for (let life = 1; life <= crashes; life++) {
      const dead = start(`D/${life}`, life === 1 ? {} : { isRecovery: true, crashedUpTo: 2 });
      await receiveBoth(dead);
      dead.kill();
    }
    const shut = lane.title.includes('looked up') ? ['head'] : [];
    const b = start('B/1', { isRecovery: true, crashedUpTo: 2, capacity, shut });
    await receiveBoth(b);
    expect(b.turns.active.has('b')).toBe(false);
    const c = start('C/1', { from: await b.runner.releaseShard(0) });
    await receiveBoth(c);
    if (crashes === 2) {
      await b.end('a');
      await clock.advance(5);
    }
    expect(c.turn('b').batch).toMatchObject({ attempt: crashes + 1, crashes, isQuarantined: crashes === 2 });
    expect(records.of('b').at(-1)).toMatchObject({
      kind: 'note',
      worker: 'C/1',
      run: { attempt: crashes + 1, crashes },
    });
  });

  it('L1 a crash that its successor has counted is counted once, however often the shard is handed over after that', async () => {
    const { clock, records, start } = setUpHandoffs();
    const dead = start('D/1');
    for (const [i, session] of ['a', 'b', 'c'].entries()) await dead.receive(session, i + 1);
    dead.kill();
    const receiveAll = async (to: Process): Promise<void> => {
      for (const [i, session] of ['a', 'b', 'c'].entries()) await to.receive(session, i + 1);
    };
    let owner = start('B/0', { isRecovery: true, crashedUpTo: 3, capacity: 2 });
    await receiveAll(owner);
    await owner.fail('a');
    expect(owner.turn('c').batch).toMatchObject({ attempt: 2, crashes: 1 });
    for (let i = 1; i <= 3; i++) {
      const from = await owner.runner.releaseShard(0);
      await owner.runner.work.handBackAll();
      await clock.advance(5_000);
      owner = start(`B/${i}`, { from });
      await receiveAll(owner);
      for (const session of ['a', 'b', 'c']) {
        expect(records.of(session).at(-1)?.run).toMatchObject({ crashes: 1 });
        expect(owner.turn(session).batch).toMatchObject({ attempt: i + 2, crashes: 1, isQuarantined: false });
      }
    }
  });

  it('L4 nor that a batch ended its worker in quarantine: it does not run again', async () => {
    const { records, start } = setUpHandoffs();
    for (let life = 1; life <= 3; life++) {
      const dead = start(`D/${life}`, life === 1 ? {} : { isRecovery: true, crashedUpTo: 1 });
      await dead.receive('a', 1);
      dead.kill();
    }
    const b = start('B/1', { isRecovery: true, crashedUpTo: 1, shut: ['bury'] });
    await b.receive('a', 1);
    b.kill();
    const again = start('B/2', { isRecovery: true, crashedUpTo: 1, shut: ['head'] });
    await again.receive('a', 1);
    const c = start('C/1', { from: await again.runner.releaseShard(0) });
    await c.receive('a', 1);
    expect([c.turns.started, decisionsOf(records.of('a'))]).toEqual([[], [[1, 'dead']]]);
  });

  it('L1 waits for a note that is being written beside the turn, and holds from that note on', async () => {
    const { start } = setUpHandoffs();
    const a = start('A/1');
    await a.receive('a', 1);
    a.closed.add('write');
    await a.receive('a', 2, 'rubbish');
    const released = a.runner.releaseShard(0);
    await a.open();
    expect((await released).open).toEqual([{ session: 'main.a', from: 1, holder: 'A/1', since: 1 }]);
  });

  it.each(['released', 'dropped'])(
    'leaves nothing behind that looks for the end of the hold, when it is %s',
    async (how) => {
      const { clock, asked, heldByA } = setUpHandoffs();
      const { b } = await heldByA({});
      b.closed.add('head');
      await clock.advance(10);
      if (how === 'released') await b.runner.releaseShard(0);
      else b.runner.dropShard(0);
      await b.open();
      asked.length = 0;
      await clock.advance(5_000);
      expect(asked).toEqual([]);
    },
  );

  it('leaves nothing behind either when it goes before the session was looked up at all', async () => {
    const { clock, asked, start } = setUpHandoffs();
    const from = { read: 1, tail: 0, open: [{ session: 'main.a', from: 1, holder: 'A/1', since: 0 }] };
    const b = start('B/1', { from: { read: 0, tail: 0, open: [] } });
    b.closed.add('head');
    b.runner.openShard(0, from);
    expect(await b.runner.releaseShard(0)).toEqual(from);
    await b.open();
    await clock.advance(5_000);
    expect(asked).toEqual([]);
  });
});
