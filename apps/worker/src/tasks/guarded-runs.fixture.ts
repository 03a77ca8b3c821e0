import type { TaskKeeper } from '#agents';
import type { Batch, Ending, AttemptFate } from '#lanes';
import { settled } from '#testing';
import { batchOf, guardedWorker, sessionKey, TASK } from './guard.fixture.js';

export const HERE = { isLeaked: false };
export const LEAKED = { isLeaked: true };
export const OWN = 'main/telegram:42::own';
export const withTask = (more: Partial<Batch> = {}): Batch => batchOf({ task: { key: TASK }, ...more });
export const ending = (status: Ending['status'], error?: Ending['error']): Ending => ({
  ...{ kind: 'end', status, decision: 'handled', sends: [] },
  ...(error === undefined ? {} : { error }),
});
export const fails = () => Promise.reject(new Error('no'));

/** A worker as its lanes drive it. */
export function worker(...options: Parameters<typeof guardedWorker>) {
  const all = guardedWorker(...options);
  const { guarded, guard } = all;
  const { signal } = new AbortController();
  const work = (batch: Batch) => ({ key: sessionKey, batch }) as Parameters<typeof guarded.admit>[0];
  return {
    ...all,
    admit: (batch: Batch) => guarded.admit(work(batch)),
    keeper: (batch: Batch): TaskKeeper => guarded.keeperFor({ key: sessionKey, batch }, () => signal),
    /** As the lanes do it: the record is stored between the two. */
    end: async (batch: Batch, how: Ending, end = HERE) => {
      await guarded.ending(sessionKey, batch, how, end);
      const inRecord = guard.asked.length;
      guarded.attemptOver(sessionKey, batch, 'ended', end);
      await settled();
      return { before: guard.asked.slice(0, inRecord), after: guard.asked.slice(inRecord) };
    },
    settle: async (batch: Batch, how: AttemptFate, end = HERE) => {
      guarded.attemptOver(sessionKey, batch, how, end);
      await settled();
    },
  };
}
