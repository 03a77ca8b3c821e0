import { describe, expect, it } from 'vitest';
import { LeaseView } from './lease-view.js';
import { NEW_SHARD, type ShardProgress, type StoredLease } from './lease.js';
import { Gate, ManualLeases, ManualWork } from '../manual-ports.fixture.js';
import type { SourceCheck } from './source-check.js';

const stored = (revision: number, owner: string | null, progress: Partial<ShardProgress> = {}): StoredLease => {
  const { open, ...rest } = { ...NEW_SHARD, ...progress };
  return { revision, lease: { v: 1, writeId: 'any', owner, ...rest, open: [...open] } };
};

class ReadLeases extends ManualLeases {
  reads = 0;
  found: readonly (readonly [number, StoredLease])[] = [];
  unreadable: readonly (readonly [number, number])[] = [];
  answer: Promise<void> | undefined;

  override async readAll(
    onUnreadable = (_shard: number, _revision: number): void => {},
  ): Promise<ReadonlyMap<number, StoredLease>> {
    this.reads++;
    await this.answer;
    for (const [shard, revision] of this.unreadable) onUnreadable(shard, revision);
    return new Map(this.found);
  }
}

function setUp(...found: (readonly [number, StoredLease])[]) {
  const store = new ReadLeases();
  store.found = found;
  const source = new ManualWork();
  const told: SourceCheck[] = [];
  const unreadable: [number, number][] = [];
  const view = new LeaseView({
    ...{ store, source },
    onSource: (check) => void told.push(check),
    onUnreadable: (...found) => void unreadable.push(found),
  });
  return { store, source, told, unreadable, view };
}

describe('a view of the leases', () => {
  it('knows of no owner before it has read', async () => {
    const { view } = setUp([3, stored(7, 'b/1')]);
    expect([view.ownerOf(3), view.of(3)]).toEqual([null, undefined]);
    await view.refresh();
    expect([view.ownerOf(3), view.of(3)]).toEqual(['b/1', stored(7, 'b/1')]);
  });

  it('tells a shard that was given away from one that never had an owner', async () => {
    const { view } = setUp([3, stored(7, null)]);
    await view.refresh();
    expect([view.ownerOf(3), view.ownerOf(4)]).toEqual([null, null]);
    expect([view.of(3), view.of(4)]).toEqual([stored(7, null), undefined]);
  });

  it('reads again only when there is news', async () => {
    const { store, view } = setUp();
    await view.refresh();
    await view.refresh();
    expect(store.reads).toBe(1);
    view.expectNews();
    await view.refresh();
    await view.refresh();
    expect(store.reads).toBe(2);
  });

  it('reads again when news arrives while it reads', async () => {
    const { store, view } = setUp();
    const answer = new Gate();
    store.answer = answer.promise;
    const reading = view.refresh();
    view.expectNews();
    answer.pass();
    await reading;
    await view.refresh();
    expect(store.reads).toBe(2);
  });

  it('stays as it was when a read fails, and reads the next time', async () => {
    for (const failing of ['leases', 'source'] as const) {
      const { store, source, view } = setUp([3, stored(7, 'b/1')]);
      await view.refresh();
      view.expectNews();
      if (failing === 'leases') store.answer = Promise.reject(new Error('away'));
      else source.beforeSource = () => Promise.reject(new Error('away'));
      await expect(view.refresh()).rejects.toThrow('away');
      expect(view.ownerOf(3)).toBe('b/1');
      store.answer = undefined;
      source.beforeSource = () => Promise.resolve();
      await view.refresh();
      expect(store.reads).toBe(3);
    }
  });
});

describe('what our own writes tell', () => {
  it('counts at once', async () => {
    const { view } = setUp([3, stored(7, null)]);
    await view.refresh();
    view.learn(3, stored(8, 'a/1'));
    expect(view.ownerOf(3)).toBe('a/1');
    view.learn(3, undefined);
    expect(view.of(3)).toBeUndefined();
  });

  it('is not replaced by a read that is behind it, but by one that is not', async () => {
    const { store, view } = setUp([3, stored(7, null)]);
    view.learn(3, stored(8, 'a/1'));
    await view.refresh();
    expect(view.ownerOf(3)).toBe('a/1');
    store.found = [[3, stored(9, 'b/1')]];
    view.expectNews();
    await view.refresh();
    expect(view.ownerOf(3)).toBe('b/1');
  });

  it('is forgotten with everything that was read when all of it may have been rewound', async () => {
    const { store, view } = setUp([3, stored(7, 'b/1')]);
    await view.refresh();
    view.learn(4, stored(90, 'a/1'));
    store.found = [[4, stored(5, null)]];
    view.forgetAll();
    expect([view.of(3), view.of(4)]).toEqual([undefined, undefined]);
    await view.refresh();
    expect([view.of(3), view.of(4)]).toEqual([undefined, stored(5, null)]);
  });
});

describe('a source', () => {
  it('that has everything the leases mention is not reported', async () => {
    const { source, told, view } = setUp([3, stored(7, 'b/1', { read: 40 })]);
    source.sourceSeq = 40;
    await view.refresh();
    expect([view.isSourceSetBack, told]).toEqual([false, []]);
  });

  it('that was rewound is reported once, and checked at every refresh until it is repaired', async () => {
    const { store, source, told, view } = setUp([3, stored(7, 'b/1', { read: 40 })]);
    source.sourceSeq = 39;
    await view.refresh();
    await view.refresh();
    expect([view.isSourceSetBack, store.reads]).toEqual([true, 2]);
    expect(told).toEqual([{ isRewound: true, lastSeq: 39, mark: 40 }]);
    source.sourceSeq = 40;
    await view.refresh();
    expect(view.isSourceSetBack).toBe(false);
    expect(told).toMatchObject([{ isRewound: true }, { isRewound: false }]);
    await view.refresh();
    expect(store.reads).toBe(3);
  });

  it('is also compared with our own writes and with what was read here', async () => {
    const { source, view } = setUp();
    source.sourceSeq = 11;
    view.learn(3, stored(8, 'a/1', { read: 12 }));
    await view.refresh();
    expect(view.isSourceSetBack).toBe(true);
    source.sourceSeq = 12;
    await view.refresh();
    expect(view.isSourceSetBack).toBe(false);
    source.highestRead = 13;
    view.expectNews();
    await view.refresh();
    expect(view.isSourceSetBack).toBe(true);
  });

  it('is asked for its end after the marks are read: otherwise a source that grows would look rewound', async () => {
    const { store, source, view } = setUp([3, stored(7, 'b/1', { read: 40 })]);
    const answer = new Gate();
    store.answer = answer.promise;
    const reading = view.refresh();
    source.sourceSeq = 40;
    answer.pass();
    source.beforeSource = async () => void (source.highestRead = 50);
    await reading;
    expect(view.isSourceSetBack).toBe(false);
  });

  it('keeps its last known state while the next look is in flight', async () => {
    const { source, view } = setUp();
    source.highestRead = 7;
    source.sourceSeq = 6;
    await view.refresh();
    const answer = new Gate();
    source.beforeSource = () => answer.promise;
    source.sourceSeq = 7;
    const reading = view.refresh();
    expect(view.isSourceSetBack).toBe(true);
    answer.pass();
    await reading;
    expect(view.isSourceSetBack).toBe(false);
  });
});

describe('a value under the key of a shard that is not a lease', () => {
  it('is reported once, does not make the shard free, and ends when it is removed or replaced by a lease', async () => {
    const { store, unreadable, view } = setUp([3, stored(7, 'b/1')]);
    const read = async (...found: [number, number][]): Promise<void> => {
      store.unreadable = found;
      view.expectNews();
      await view.refresh();
    };
    store.found = [];
    await read([3, 8], [4, 2]);
    await read([3, 8], [4, 2]);
    expect([view.isUnreadable(3), view.isUnreadable(4), view.isUnreadable(5)]).toEqual([true, true, false]);
    expect(unreadable).toEqual([
      [3, 8],
      [4, 2],
    ]);
    store.found = [[3, stored(9, 'b/1')]];
    await read();
    expect([view.isUnreadable(3), view.ownerOf(3), view.isUnreadable(4)]).toEqual([false, 'b/1', false]);
  });

  it('no longer counts when our own write is newer: a replica may be behind', async () => {
    const { store, unreadable, view } = setUp();
    view.learn(3, stored(9, 'a/1'));
    store.unreadable = [[3, 8]];
    await view.refresh();
    expect([view.isUnreadable(3), view.ownerOf(3), unreadable]).toEqual([false, 'a/1', []]);
  });
});
