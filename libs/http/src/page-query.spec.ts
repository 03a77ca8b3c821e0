import { describe, expect, it } from 'vitest';
import { ProblemException } from './problem.exception.js';
import { oneText, readCursor, readLimit } from './page-query.js';

function fields(read: () => unknown) {
  try {
    read();
  } catch (error) {
    if (!(error instanceof ProblemException)) throw error;
    expect(error.problem.status).toBe(400);
    return (error.problem.errors ?? []).map(({ field }) => field);
  }
  throw new Error('expected a problem');
}

describe('readLimit', () => {
  it.each<[unknown, number]>([
    [undefined, 20],
    ['1', 1],
    ['200', 200],
    ['0020', 20],
  ])('%j is %s', (limit, value) => expect(readLimit(limit)).toBe(value));

  it.each<[unknown]>([[''], ['0'], ['201'], ['-1'], ['1.5'], ['1e2'], ['x'], ['1\n'], [['1', '2']], [5]])(
    'refuses %j',
    (limit) => expect(fields(() => readLimit(limit))).toEqual(['limit']),
  );
});

describe('readCursor', () => {
  it.each<[unknown, number]>([
    [undefined, 0],
    ['0', 0],
    ['999999999999999', 999_999_999_999_999],
  ])('%j is %s', (after, value) => expect(readCursor(after)).toBe(value));

  it.each<[unknown]>([[''], ['-1'], ['1.5'], ['1\n'], ['1'.repeat(16)], [['1', '2']], [5]])('refuses %j', (after) =>
    expect(fields(() => readCursor(after))).toEqual(['after']),
  );
});

it('a field that is there twice is no text', () => {
  expect(oneText('agent', 'main')).toBe('main');
  expect(fields(() => oneText('agent', ['a', 'b']))).toEqual(['agent']);
});
