import { describe, expect, it } from 'vitest';
import { MemoryBucket } from '../key-bucket.fixture.js';
import { KeyMemberStore } from './member-store.client.js';
import type { MemberValue } from './member.js';

const TTL_MS = 10_000;
const value = (incarnation: string, more: object = {}): MemberValue => ({
  v: 1,
  incarnation,
  draining: false,
  ...more,
});
const mine = value('a/1');

function setUp(prefix?: string) {
  const bucket = new MemoryBucket();
  const store = new KeyMemberStore(bucket.asBucket, prefix);
  const put = (takesOver = false, told = mine) => store.put('a', told, TTL_MS, takesOver);
  const stands = () => JSON.parse(bucket.entries.get('a')?.value ?? 'null') as unknown;
  return { bucket, store, put, stands };
}

describe('a member', () => {
  it('is put with its time to live, every time: a key without one would never expire', async () => {
    const { bucket, put, stands } = setUp();
    expect(await put()).toEqual({ kind: 'written', revision: 1 });
    expect(await put()).toEqual({ kind: 'written', revision: 2 });
    expect(bucket.writes).toEqual([
      { key: 'a', expected: 0, ttlMs: TTL_MS },
      { key: 'a', expected: 1, ttlMs: TTL_MS },
    ]);
    expect(stands()).toEqual(mine);
  });

  it('whose renewal was stored but not acknowledged continues from what is stored', async () => {
    const { bucket, put } = setUp();
    await put();
    bucket.faults.push('unheard');
    expect(await put()).toEqual({ kind: 'written', revision: 3 });
    expect(await put()).toEqual({ kind: 'written', revision: 4 });
  });

  it('that has expired, or was never there, is put again', async () => {
    const { bucket, put } = setUp();
    await put();
    bucket.entries.delete('a');
    expect(await put()).toMatchObject({ kind: 'written' });
    expect(bucket.writes.at(-1)).toMatchObject({ expected: 0 });
  });

  it('is put over the mark that a removal left', async () => {
    const { bucket, put, stands } = setUp();
    bucket.set('a', undefined);
    expect(await put()).toMatchObject({ kind: 'written' });
    expect(stands()).toEqual(mine);
  });

  it('replaces a former incarnation when it starts, and no incarnation later', async () => {
    const { bucket, put, stands } = setUp();
    bucket.set('a', JSON.stringify(value('a/0')));
    expect(await put(true)).toMatchObject({ kind: 'written' });
    expect(stands()).toEqual(mine);
    bucket.set('a', JSON.stringify(value('a/2')));
    expect(await put()).toEqual({ kind: 'replaced', by: 'a/2' });
    expect(await put()).toEqual({ kind: 'replaced', by: 'a/2' });
    expect(stands()).toEqual(value('a/2'));
  });

  it('is unclear when the stored incarnation is unknown, or another process wrote again', async () => {
    const { bucket, put } = setUp();
    bucket.faults.push('lost');
    bucket.readFaults = 1;
    expect(await put()).toEqual({ kind: 'unclear' });
    bucket.faults.push('lost', 'lost');
    expect(await put()).toEqual({ kind: 'unclear' });
    expect(await put()).toMatchObject({ kind: 'written' });
  });

  it('that leaves removes its own key, and not its successor’s', async () => {
    const { bucket, store, put, stands } = setUp();
    await put();
    await store.remove('a');
    expect(bucket.entries.get('a')?.value).toBeUndefined();
    await put();
    bucket.set('a', JSON.stringify(value('a/2')));
    expect(await put()).toMatchObject({ kind: 'replaced' });
    await store.remove('a');
    expect(stands()).toEqual(value('a/2'));
  });
});

describe('the members', () => {
  it('are those that have a key, with all their fields, without values that are not members', async () => {
    const { bucket, store } = setUp();
    bucket.set('a', JSON.stringify(value('a/1', { capacity: 7 })));
    bucket.set('b', 'rubbish');
    bucket.set('c', undefined);
    expect(await store.readAll()).toMatchObject([{ id: 'a', value: value('a/1', { capacity: 7 }) }]);
    expect([await store.standing('a'), await store.standing('b'), await store.standing('c')]).toEqual([
      'a/1',
      undefined,
      undefined,
    ]);
  });

  it('are unknown in an outage: that is not the same as no members', async () => {
    const { bucket, store } = setUp();
    bucket.readFaults = 1;
    await expect(store.standing('a')).rejects.toThrow('away');
  });

  it('are announced as they are written and removed, until the listener ends', () => {
    const { bucket, store } = setUp();
    const told: [string, MemberValue | undefined][] = [];
    const end = store.onWrite((id, written) => told.push([id, written]));
    bucket.tell('a', JSON.stringify(mine));
    bucket.tell('a', '');
    end();
    bucket.tell('a', JSON.stringify(mine));
    expect(told).toEqual([
      ['a', mine],
      ['a', undefined],
    ]);
  });

  it('of two roles are kept apart in one bucket', async () => {
    const { bucket, store } = setUp('egress.');
    await store.put('a', mine, TTL_MS, true);
    expect([...bucket.entries.keys()]).toEqual(['egress.a']);
    expect(await store.standing('a')).toBe('a/1');
    expect(await store.readAll()).toMatchObject([{ id: 'a', value: mine }]);
    const told: string[] = [];
    store.onWrite((id) => told.push(id));
    bucket.tell('egress.b', '');
    bucket.tell('b', '');
    expect(told).toEqual(['b']);
    await store.remove('a');
    expect(await store.standing('a')).toBeUndefined();
  });
});
