import { expect, it } from 'vitest';
import { Names, type Decision } from '#contracts';
import type { BrokerConnection, StoredMessage, StreamLookup } from '#jetstream';
import { DeadLetters } from './dead-letters.client.js';
import type { SessionHistory, StoredRecord } from '../sessions/session-history.client.js';

const names = new Names('lk', 64);
const key = names.sessionTokens('main', 's');
const DEAD_ID = 'main.s.3';

/** The letter of message 3 is there; its record as the first look at the session finds it, and each look behind it. */
function lettersOf(first: StoredRecord | undefined, behind = first): DeadLetters {
  const message = { v: 1, kind: 'message', id: 'm3', text: 'x' };
  const error = { name: 'Error', message: 'x' };
  const letter = {
    v: 1,
    messageId: 'm3',
    seq: 3,
    runId: 'r',
    attempts: 3,
    status: 'failed',
    error,
    deadAt: 1,
    message,
  };
  const stored = { subject: names.deadSubject(key, 3), data: Buffer.from(JSON.stringify(letter)) };
  const lookup = { last: () => Promise.resolve(stored as unknown as StoredMessage) };
  let looks = 0;
  const look = (): StoredRecord | undefined => (looks++ === 0 ? first : behind);
  const history: Partial<SessionHistory> = {
    lastRecord: () => Promise.resolve(look()),
    decisionOf: () => {
      const found = look();
      return Promise.resolve(found?.record.messages.length === 0 ? undefined : found);
    },
  };
  const publisher = { publish: () => Promise.reject(new Error('not asked for')) };
  return new DeadLetters(
    {} as BrokerConnection,
    lookup as unknown as StreamLookup,
    publisher,
    history as SessionHistory,
    names,
  );
}

function record(decision: Decision | 'trimmed'): StoredRecord {
  const messages = decision === 'trimmed' ? [] : [{ id: 'm3', seq: 3, decision }];
  return { recordSeq: 1, storedAtMs: 1, record: { upto: 3, done: [], messages } } as unknown as StoredRecord;
}

it.each<[string, StoredRecord | undefined, boolean]>([
  ['dead', record('dead'), true],
  ['no more there, and the session beyond it', record('trimmed'), true],
  ['another one', record('handled'), false],
  ['not there yet', undefined, false],
])('a letter counts when the decision on its message is %s', async (_title, stored, isDead) => {
  expect((await lettersOf(stored).find(DEAD_ID)) !== undefined).toBe(isDead);
});

it('a letter whose message is decided otherwise between two looks never counts: a retry would run it twice (L1)', async () => {
  expect(await lettersOf(undefined, record('handled')).find(DEAD_ID)).toBeUndefined();
  expect(await lettersOf(undefined, record('dead')).find(DEAD_ID)).toMatchObject({ deadId: DEAD_ID });
});
