import { describe, expect, it } from 'vitest';
import { assignable, memberIdOf, parseMember, type Member } from './member.js';

const value = { v: 1 as const, incarnation: 'worker-1/ab12', draining: false };

describe('what a process says of itself', () => {
  it('is kept whole, including fields that this version does not know', () => {
    const told = { ...value, capacity: 1_000, agents: ['main'], somethingLater: { a: 1 } };
    expect(parseMember(JSON.stringify(told))).toEqual(told);
  });

  it('that is invalid is `undefined` and never a throw', () => {
    for (const text of ['', '{', 'null', '[]', '{}', JSON.stringify({ ...value, v: 2 })]) {
      expect([text, parseMember(text)]).toEqual([text, undefined]);
    }
    for (const broken of [{ incarnation: 7 }, { draining: 'no' }, { incarnation: undefined }]) {
      expect([broken, parseMember(JSON.stringify({ ...value, ...broken }))]).toEqual([broken, undefined]);
    }
  });
});

describe('an incarnation', () => {
  it('belongs to the id before its last slash', () => {
    expect(memberIdOf('worker-1/ab12')).toBe('worker-1');
    expect(memberIdOf('a/b/ab12')).toBe('a/b');
  });
});

describe('members', () => {
  it('that drain take no shards', () => {
    const members: Member[] = [
      { id: 'a', value },
      { id: 'b', value: { ...value, draining: true } },
      { id: 'c', value },
    ];
    expect(assignable(members).map(({ id }) => id)).toEqual(['a', 'c']);
    expect(assignable([])).toEqual([]);
  });

  it('have agents to be offered shards for only where their version takes offers', () => {
    const having = { ...value, agents: ['main'] };
    const members = [
      { id: 'old', value: having },
      { id: 'new', value: { ...having, takesOffers: true as const } },
    ];
    expect(assignable(members)).toEqual([
      { id: 'old', has: undefined },
      { id: 'new', has: ['main'] },
    ]);
    expect(parseMember(JSON.stringify({ ...value, agents: 7, takesOffers: 'yes' }))).toMatchObject(value);
  });
});
