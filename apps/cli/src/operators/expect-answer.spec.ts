import { describe, expect, it } from 'vitest';
import { deadMessage, taskList, workerList } from '#contracts';
import { expectAnswer } from './expect-answer.js';

const worker = { worker: 'a', incarnation: 'a/1', draining: false, shards: 64 };
const shards = { total: 64, owned: 64, unowned: 0, held: 0 };

describe('an answer of a service', () => {
  it('is handed on as it came, with fields of a later version and in its order', () => {
    const answer = { later: { a: 1 }, shards: { ...shards, later: 2 }, workers: [{ later: 3, ...worker }] };
    const text = JSON.stringify(answer);
    expect(JSON.stringify(expectAnswer(workerList, answer))).toBe(text);
  });

  it.each<[string, unknown, RegExp]>([
    ['lacks a field', { workers: [] }, /: shards: found nothing, wanted an object; run .*LANEKEEPER_URL/],
    [
      'has a field of another type',
      { workers: [{ ...worker, shards: '64' }], shards },
      /workers\.0\.shards: found a text of 2 bytes, wanted a number; run/,
    ],
    ['is no object', [], /body: found an array of 0, wanted an object; run/],
    [
      'is wrong in several places',
      { workers: [{}], shards },
      /workers\.0\.worker: found nothing, wanted a text \(and 3 more like it\); run/,
    ],
  ])('that %s is refused with the field, what was found, what was wanted, and what to do', (_what, answer, message) => {
    expect(() => expectAnswer(workerList, answer)).toThrow(message);
  });

  it('with a state that this version does not know is refused by the words that it knows', () => {
    const task = {
      key: 'k',
      state: 'lost',
      runId: 'r',
      token: 1,
      startedAt: 1,
      attempts: 1,
      staleCount: 0,
      history: [],
    };
    expect(() => expectAnswer(taskList, { tasks: [task], counts: {} })).toThrow(
      /tasks\.0\.state: found a text of 4 bytes, wanted one of running, succeeded, cancelled, failed, stale/,
    );
  });

  it('about a message of a later version is shown', () => {
    const answer = {
      ...{ deadId: 'main.s.1', agent: 'main', session: 's', messageId: 'm', seq: 1, runId: 'r', attempts: 1 },
      ...{ status: 'failed', error: { name: 'E', message: 'e' }, deadAt: 1 },
      message: { id: 'm', text: 'x', strategy: 'steer', priority: 7, author: { id: 'a', role: 'b' } },
    };
    expect(expectAnswer(deadMessage, answer)).toEqual(answer);
  });
});
