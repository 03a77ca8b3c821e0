import { describe, expect, it } from 'vitest';
import { ProblemException } from '#http';
import { readKey, readScope, readState } from './task-query.js';

function problemOf(read: () => unknown) {
  try {
    read();
  } catch (error) {
    if (error instanceof ProblemException) return error.problem;
    throw error;
  }
  throw new Error('expected a problem');
}

describe('the path and the query of tasks', () => {
  it('may omit the filters, and accept valid ones', () => {
    expect([readState(undefined), readScope(undefined)]).toEqual([undefined, undefined]);
    expect([readState('failed'), readScope('main/s'), readKey('main/s::a')]).toEqual(['failed', 'main/s', 'main/s::a']);
  });

  it.each<[unknown]>([['waiting'], [''], [['failed', 'stale']]])('refuses the state %j', (state) => {
    const problem = problemOf(() => readState(state));
    expect(problem).toMatchObject({ status: 400, errors: [{ field: 'state' }] });
    expect(problem.detail).toMatch(/state.*running, succeeded/);
  });

  it.each<[unknown]>([[''], ['a\0'], [['a', 'b']]])('refuses the scope %j', (scope) => {
    expect(problemOf(() => readScope(scope))).toMatchObject({ status: 400, errors: [{ field: 'scope' }] });
  });

  it('refuses an invalid key', () => {
    expect(problemOf(() => readKey('a\0'))).toMatchObject({ status: 422, errors: [{ field: 'key' }] });
  });
});
