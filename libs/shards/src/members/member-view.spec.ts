import { describe, expect, it } from 'vitest';
import { ManualClock } from '#testing';
import { ManualMembers } from '../manual-ports.fixture.js';
import { MemberView } from './member-view.js';
import type { MemberValue } from './member.js';

const TTL_MS = 10_000;

const value = (incarnation: string, draining = false): MemberValue => ({ v: 1, incarnation, draining });
const member = (incarnation: string, draining = false) => ({
  id: incarnation.slice(0, incarnation.lastIndexOf('/')),
  value: value(incarnation, draining),
});

const idsOf = (view: MemberView): string[] => view.assignable.map(({ id }) => id);

function setUp(...incarnations: string[]) {
  const clock = new ManualClock();
  const store = new ManualMembers();
  store.stored = incarnations.map((incarnation) => member(incarnation));
  const heard = { changes: 0 };
  const view = new MemberView(store, TTL_MS, clock, () => void heard.changes++);
  return { clock, store, heard, view };
}

describe('a view of the members', () => {
  it('is empty until it looks, or hears of a member', () => {
    const { view } = setUp('a/1');
    expect([idsOf(view), view.seems('a/1'), view.hasOverdue]).toEqual([[], false, false]);
  });

  it('has the members that a look found, each with the incarnation that was seen last', async () => {
    const { store, heard, view } = setUp('a/1', 'b/1');
    await view.refresh();
    expect(idsOf(view)).toEqual(['a', 'b']);
    expect([view.seems('a/1'), view.seems('a/2'), view.seems('c/1')]).toEqual([true, false, false]);
    store.stored = [member('a/2')];
    await view.refresh();
    expect(idsOf(view)).toEqual(['a']);
    expect([view.seems('a/1'), view.seems('a/2'), view.seems('b/1')]).toEqual([false, true, false]);
    // A look belongs to a round, which continues with what it found.
    expect(heard.changes).toBe(0);
  });

  it('leaves out a member that drains from those that take shards, not from those that are there', async () => {
    const { store, view } = setUp();
    store.stored = [member('a/1'), member('b/1', true)];
    await view.refresh();
    expect(idsOf(view)).toEqual(['a']);
    expect(view.seems('b/1')).toBe(true);
  });

  it('stays as it was when a look fails', async () => {
    const { store, view } = setUp('a/1');
    await view.refresh();
    store.readAll = () => Promise.reject(new Error('away'));
    await expect(view.refresh()).rejects.toThrow('away');
    expect(idsOf(view)).toEqual(['a']);
  });
});

describe('a key that the broker should have removed', () => {
  const at = (incarnation: string, revision: number) => ({ ...member(incarnation), revision });

  it('is removed when no write replaced it for three times to live, and its member gets no shards', async () => {
    const { clock, store, view } = setUp();
    for (const round of [1, 2, 3, 4]) {
      // The one renews, the other is dead.
      store.stored = [at('alive/1', 10 + round), at('dead/1', 5)];
      await view.refresh();
      await view.removeStale();
      if (round < 4) await clock.advance(TTL_MS);
    }
    expect([store.removed, idsOf(view), view.seems('dead/1')]).toEqual([['dead@5'], ['alive'], false]);
  });

  it('stays when it was written again since, and when its revision is unknown', async () => {
    const { clock, store, view } = setUp();
    store.stored = [at('a/1', 5), member('b/1')];
    await view.refresh();
    await clock.advance(3 * TTL_MS);
    store.stored = [at('a/1', 6), member('b/1')];
    await view.refresh();
    await view.removeStale();
    expect([store.removed, idsOf(view)]).toEqual([[], ['a', 'b']]);
  });

  it('is not removed again when we heard its member leave', async () => {
    const { clock, store, view } = setUp();
    store.stored = [at('a/1', 5)];
    await view.refresh();
    await clock.advance(3 * TTL_MS);
    store.tell('a', undefined);
    await view.removeStale();
    expect(store.removed).toEqual([]);
  });
});

describe('what a view hears', () => {
  it('counts at once and is reported: a member comes, drains, restarts or leaves', async () => {
    const { store, heard, view } = setUp('a/1');
    await view.refresh();
    store.tell('b', value('b/1'));
    expect([idsOf(view), heard.changes]).toEqual([['a', 'b'], 1]);
    store.tell('b', value('b/1', true));
    expect([idsOf(view), heard.changes]).toEqual([['a'], 2]);
    store.tell('a', value('a/2'));
    expect([view.seems('a/1'), view.seems('a/2'), heard.changes]).toEqual([false, true, 3]);
    store.tell('a', undefined);
    expect([idsOf(view), view.seems('a/2'), heard.changes]).toEqual([[], false, 4]);
  });

  it('is reported only when it is news: renewals come all the time', async () => {
    const { store, heard, view } = setUp('a/1');
    await view.refresh();
    store.tell('a', { ...value('a/1'), running: 3 });
    store.tell('a', { ...value('a/1'), running: 4 });
    store.tell('nobody', undefined);
    expect(heard.changes).toBe(0);
  });

  it('no longer counts when the view is closed', () => {
    const { store, heard, view } = setUp();
    view.close();
    store.tell('a', value('a/1'));
    expect([store.isHeard, idsOf(view), heard.changes]).toEqual([false, [], 0]);
  });
});

describe('a member is overdue', () => {
  it('when we did not hear of it for a whole time to live, and not before', async () => {
    const { clock, store, view } = setUp();
    store.tell('a', value('a/1'));
    await clock.advance(TTL_MS - 1);
    expect(view.hasOverdue).toBe(false);
    await clock.advance(1);
    expect(view.hasOverdue).toBe(true);
  });

  it('until we hear of it again', async () => {
    const { clock, store, view } = setUp();
    store.tell('a', value('a/1'));
    await clock.advance(TTL_MS);
    store.tell('a', value('a/1'));
    expect(view.hasOverdue).toBe(false);
    await clock.advance(TTL_MS);
    expect(view.hasOverdue).toBe(true);
  });

  it('until it is removed, or a look finds that it has expired', async () => {
    for (const isTold of [true, false]) {
      const { clock, store, view } = setUp('a/1');
      await view.refresh();
      await clock.advance(TTL_MS);
      expect(view.hasOverdue).toBe(true);
      store.stored = [];
      if (isTold) store.tell('a', undefined);
      else await view.refresh();
      expect(view.hasOverdue).toBe(false);
    }
  });

  it('counted from the first look that found it, when we never heard of it', async () => {
    const { clock, view } = setUp('a/1');
    await view.refresh();
    await clock.advance(TTL_MS - 1);
    await view.refresh();
    expect(view.hasOverdue).toBe(false);
    await clock.advance(1);
    expect(view.hasOverdue).toBe(true);
    // A look that finds its key is no sign of life: the key may be about to expire.
    await view.refresh();
    expect(view.hasOverdue).toBe(true);
  });

  it('by the monotonic clock', async () => {
    const { clock, store, view } = setUp();
    store.tell('a', value('a/1'));
    clock.setWall(3_600_000);
    expect(view.hasOverdue).toBe(false);
    clock.setWall(-7_200_000);
    await clock.advance(TTL_MS);
    expect(view.hasOverdue).toBe(true);
  });

  it('after a known time: counted for the member that was silent the longest, and never without members', async () => {
    const { clock, store, view } = setUp();
    expect(view.overdueInMs).toBe(Number.POSITIVE_INFINITY);
    store.tell('a', value('a/1'));
    await clock.advance(400);
    store.tell('b', value('b/1'));
    expect(view.overdueInMs).toBe(TTL_MS - 400);
    store.tell('a', value('a/1'));
    expect(view.overdueInMs).toBe(TTL_MS);
    store.tell('a', undefined);
    await clock.advance(TTL_MS);
    expect([view.overdueInMs, view.hasOverdue]).toEqual([0, true]);
  });
});

describe('the silence of a process', () => {
  it('is counted from its last sign of life, by incarnation, even when its key is gone', async () => {
    const { clock, store, view } = setUp();
    store.tell('a', value('a/1'));
    await clock.advance(TTL_MS);
    expect(view.silentMs('a/1')).toBe(TTL_MS);
    await view.refresh();
    store.tell('a', value('a/2'));
    await clock.advance(300);
    expect([view.silentMs('a/1'), view.silentMs('a/2')]).toEqual([TTL_MS + 300, 300]);
  });

  it('is no longer than we have listened, even for a process that we never heard of', async () => {
    const { clock, view } = setUp();
    await clock.advance(700);
    expect(view.silentMs('b/1')).toBe(700);
  });

  it('starts again when our connection is back: we did not hear what was said meanwhile', async () => {
    const { clock, store, view } = setUp();
    store.tell('a', value('a/1'));
    await clock.advance(TTL_MS);
    view.interrupt();
    await clock.advance(TTL_MS);
    expect(view.silentMs('a/1')).toBe(0);
    view.returned();
    await clock.advance(400);
    expect(view.silentMs('a/1')).toBe(400);
  });

  it('is not kept for an incarnation that ended long ago, which does not make it shorter', async () => {
    const { clock, store, view } = setUp();
    for (let life = 0; life < 50; life++) store.tell('a', value(`a/${life}`));
    await clock.advance(2 * TTL_MS + 1);
    await view.refresh();
    expect((view as unknown as { lifeSigns: Map<string, number> }).lifeSigns.size).toBe(0);
    expect(view.silentMs('a/7')).toBeGreaterThan(2 * TTL_MS);
  });

  it('reports a member that has other agents than before', () => {
    const { store, heard, view } = setUp();
    const having = (...agents: string[]): MemberValue => ({ ...value('a/1'), agents, takesOffers: true });
    store.tell('a', having('main'));
    store.tell('a', having('main'));
    expect(heard.changes).toBe(1);
    store.tell('a', having('main', 'research'));
    expect([view.assignable, heard.changes]).toEqual([[{ id: 'a', has: ['main', 'research'] }], 2]);
  });
});
