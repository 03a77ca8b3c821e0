import { expect, it } from 'vitest';
import { shardRanges } from './shard-ranges.js';

it('shards are listed as ranges, in order', () => {
  expect(shardRanges([])).toBe('');
  expect(shardRanges([7])).toBe('7');
  expect(shardRanges([0, 1, 2, 3, 40])).toBe('0-3,40');
  expect(shardRanges([5, 9, 3, 4, 8, 63])).toBe('3-5,8-9,63');
  expect(shardRanges(Array.from({ length: 64 }, (_, shard) => shard))).toBe('0-63');
});
