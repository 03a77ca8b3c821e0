import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft } from '#testing';
import { expectDecidedOnceInOrder, expectSerial, greatestOverlap } from '../support/history-check.js';
import { startUp } from '../support/lanekeeper-up.js';

afterEach(expectNothingLeft);

it('200 messages over 20 sessions: each session serial and in order, ten sessions and more at once (L1, L2, L5)', async () => {
  await using up = await startUp();
  const sessions = Array.from({ length: 20 }, (_, i) => `chat-${i}`);
  await Promise.all(
    sessions.map(async (session) => {
      for (let i = 0; i < 10; i++) {
        const answer = await up.api.send(session, { id: `m${i}`, text: `${i}`, data: { sleepMs: 50 } });
        expect(answer.status).toBe(202);
      }
    }),
  );
  const histories = await Promise.all(sessions.map((session) => up.api.decided(session, 10)));
  const ids = Array.from({ length: 10 }, (_, i) => `m${i}`);
  for (const records of histories) {
    expectDecidedOnceInOrder(records, ids);
    expectSerial(records);
    expect(records.every(({ status }) => status === 'succeeded')).toBe(true);
    // Each message was answered, in order.
    expect(records.flatMap(({ sends = [] }) => sends).map(({ text }) => text)).toEqual(ids.map((id) => id.slice(1)));
  }
  expect(greatestOverlap(histories.flat())).toBeGreaterThanOrEqual(10);
});
