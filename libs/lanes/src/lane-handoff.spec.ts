import { describe, expect, it } from 'vitest';
import type { CancelTarget } from '#contracts';
import { seqsOf, setUpHandoffs, WHOLE_SESSION } from './lane-handoff.fixture.js';
import { cancelOrder, decisionsOf } from './lane-process.fixture.js';
import { sessionKey } from './lane-runner.fixture.js';

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
    a.runner.openShard(0, { ...(await b.runner.releaseShard(0)), crashedUpTo: 0 });
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
    a.runner.openShard(0, { ...(await b.runner.releaseShard(0)), crashedUpTo: 0 });
    await a.receive('a', 3);
    a.runner.work.cancelHeld(sessionKey('a'), WHOLE_SESSION);
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
    expect(() => runner.work.cancelHeld(sessionKey('a'), WHOLE_SESSION)).not.toThrow();
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

  it('has the record that ended a hold in its tail: a lagging replica must not hide it from the next owner', async () => {
    const { clock, records, heldByA } = setUpHandoffs();
    const { a, b } = await heldByA();
    await a.end('a');
    await clock.advance(5);
    expect(records.head('a').seq).toBe(1);
    expect(b.runner.progress(0)).toEqual({ read: 1, tail: 1, open: [] });
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
    b.runner.openShard(0, { ...from, crashedUpTo: 0 });
    expect(await b.runner.releaseShard(0)).toEqual(from);
    await b.open();
    await clock.advance(5_000);
    expect(asked).toEqual([]);
  });
});
