import { expect, it } from 'vitest';
import { AnswerPatience } from './answer-patience.js';

it('stays short for requests that are never answered, so that the next leader is found soon', () => {
  const patience = new AnswerPatience(750, 2_500);
  for (let serial = 1; serial < 100; serial++) patience.gaveUp(serial, serial * 1_000, serial * 1_000 + 750);
  expect(patience.ms).toBe(750);
});

it('grows to twice the time of a late answer, within its bound, and ignores unknown answers', () => {
  const patience = new AnswerPatience(750, 2_500);
  patience.gaveUp(1, 0, 750);
  patience.heardLate(9, 800);
  expect(patience.ms).toBe(750);
  patience.heardLate(1, 1_000);
  expect(patience.ms).toBe(2_000);
  patience.heardLate(1, 9_000);
  expect(patience.ms).toBe(2_000);
  patience.gaveUp(2, 1_000, 3_000);
  patience.heardLate(2, 3_200);
  expect(patience.ms).toBe(2_500);
});

it('stays long while answers are slow, and is short again some time after the last slow one', () => {
  const patience = new AnswerPatience(750, 2_500);
  for (let now = 1_000; now < 60_000; now += 1_000) patience.heard(1_000, now);
  patience.heard(5, 60_000);
  patience.heard(5, 69_000);
  expect(patience.ms).toBe(2_000);
  patience.heard(5, 69_001);
  expect(patience.ms).toBe(750);
});

it('forgets requests that were given up long ago', () => {
  const patience = new AnswerPatience(750, 2_500);
  for (let serial = 1; serial < 100; serial++) patience.gaveUp(serial, serial * 1_000, serial * 1_000 + 750);
  expect((patience as unknown as { givenUp: Map<number, number> }).givenUp.size).toBeLessThan(8);
});
