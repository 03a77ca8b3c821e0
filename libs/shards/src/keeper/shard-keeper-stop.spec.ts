import { describe, expect, it } from 'vitest';
import { settled } from '#testing';
import { Gate } from '../manual-ports.fixture.js';
import { ALL, RENEW_MS, setUpKeeper, sharesOf, startedKeeper, TTL_MS } from './shard-keeper.fixture.js';

const HEARD_MS = 10;

describe('a keeper that drains', () => {
  it('says so, gives everything away at once, busy or not, and takes nothing back', async () => {
    const { clock, broker, work, keeper } = await startedKeeper();
    for (const shard of ALL) work.busy.set(shard, 2);
    const draining = keeper.drain();
    await settled();
    await draining;
    expect(broker.members.get('a')).toMatchObject({ draining: true });
    expect([keeper.owned, broker.shardsOf(null)]).toEqual([[], ALL]);
    await clock.advance(2 * TTL_MS);
    expect(keeper.owned).toEqual([]);
  });

  it('has drained when no shard is left, including those that were on their way to us', async () => {
    const { broker, work, keeper } = setUpKeeper();
    work.opening.set(3, new Gate());
    work.releasing.set(4, new Gate());
    let isDrained = false;
    void keeper.start();
    await settled();
    void keeper.drain().then(() => (isDrained = true));
    await settled();
    expect([isDrained, keeper.owned]).toEqual([false, [3, 4]]);
    work.releasing.get(4)?.pass({ read: 0, tail: 0, open: [] });
    await settled();
    expect([isDrained, keeper.owned]).toEqual([false, [3]]);
    work.opening.get(3)?.pass();
    await settled();
    expect([isDrained, keeper.owned]).toEqual([true, []]);
    expect(broker.shardsOf(null)).toEqual(ALL);
  });
});

describe('a keeper that is closed', () => {
  it('is no longer a member, hears nothing more and leaves no timer', async () => {
    const { clock, broker, keeper } = await startedKeeper();
    await clock.advance(HEARD_MS);
    await keeper.close();
    expect(broker.members.has('a')).toBe(false);
    expect([broker.memberListeners.size, broker.leaseListeners.size]).toEqual([0, 0]);
    const asked = { ...broker.asked };
    broker.join('b/1');
    broker.lease(3, 'b/1');
    keeper.returned();
    expect(clock.waiting).toBe(0);
    await clock.advance(10 * TTL_MS);
    expect(broker.asked).toEqual(asked);
  });

  it.each(['members', 'leases', 'source', 'standing', 'put', 'write'] as const)(
    'while it waits for an answer (%s) leaves no timer, starts no other round and takes nothing more',
    async (what) => {
      const { clock, broker, keeper } = setUpKeeper();
      broker.join('b/1');
      const [wanted = 0] = sharesOf('a', 'a', 'b');
      broker.lease(wanted, 'c/1');
      const answer = broker.delay(what);
      void keeper.start();
      await clock.advance(what === 'put' ? 0 : RENEW_MS);
      expect(broker.asked[what]).toBeGreaterThan(0);
      const { members } = broker.asked;
      const closing = keeper.close();
      answer.pass();
      await closing;
      await settled();
      expect(clock.waiting).toBe(0);
      expect(broker.shardsOf('c/1')).toEqual([wanted]);
      const { write } = broker.asked;
      await clock.advance(2 * TTL_MS);
      expect([clock.waiting, broker.asked.write, broker.asked.members]).toEqual([0, write, members]);
      expect(broker.members.has('a')).toBe(false);
    },
  );
});
