import { expect, it } from 'vitest';
import { highestOfHead } from './head-mark.js';

const run = { runId: 'r', seqs: [8, 12], attempt: 1, crashes: 0 };

it('the highest sequence of a head is its cursor, a decided range above it, or a run in work', () => {
  expect(highestOfHead({ upto: 0, done: [], run: null })).toBe(0);
  expect(highestOfHead({ upto: 7, done: [], run: null })).toBe(7);
  const done: [number, number][] = [
    [9, 9],
    [11, 20],
  ];
  expect(highestOfHead({ upto: 7, done, run: null })).toBe(20);
  expect(highestOfHead({ upto: 7, done: [], run })).toBe(12);
  expect(highestOfHead({ upto: 7, done, run: { ...run, seqs: [21] } })).toBe(21);
  expect(highestOfHead({ upto: 7, done, run, runs: [{ ...run, seqs: [30] }] })).toBe(30);
});
