import { expect, it } from 'vitest';
import { jsonText, Names } from '#contracts';
import type { StoredMessage } from '#jetstream';
import { silentLogger } from '#telemetry';
import { JetStreamRecordStore } from './record-store.client.js';

const names = new Names('lk', 64);
const key = names.sessionTokens('main', 's');
const subject = names.turnsSubject(key);
const common = { v: 1, commitId: 'c', worker: 'w/1', upto: 3, done: [], run: null, nextSequence: null };
const rest = { children: {}, relayed: {}, messages: [] };
const note = { ...common, ...rest, kind: 'note', stateSeq: 5 };
const ending = { runId: 'r', attempt: 1, status: 'succeeded', sends: [], startedAt: 1, endedAt: 2 };
const turn = { ...common, ...rest, kind: 'turn', state: { count: 1 }, ...ending };

const stored = (seq: number, record: object): StoredMessage => ({
  ...{ subject, seq, storedAtMs: 0, data: Buffer.from(JSON.stringify(record)) },
  header: () => '',
});

/** The last record of the session is a note that refers to the state of record 5. */
function storeOver({ replica, leader }: { replica: StoredMessage | undefined; leader: StoredMessage | undefined }) {
  const asked: string[] = [];
  const reader = {
    last: async () => stored(9, note),
    message: async (_stream: string, seq: number) => (asked.push(`replica ${seq}`), replica),
    leaderMessage: async (_stream: string, seq: number) => (asked.push(`leader ${seq}`), leader),
  };
  const connection = { nc: { isClosed: () => false }, whenUp: async () => {} };
  const options = { connection, reader, names, isReplicated: true, log: silentLogger };
  return { store: new JetStreamRecordStore(options as never), asked };
}

it('the state that a record refers to is read from the leader when a replica that lags does not have it (L6)', async () => {
  const { store, asked } = storeOver({ replica: undefined, leader: stored(5, turn) });
  expect(await store.loadHead(key)).toMatchObject({ head: { state: jsonText({ count: 1 }) }, seq: 9, stateSeq: 5 });
  expect(asked).toEqual(['replica 5', 'leader 5']);
});

it('the leader is not asked for a state that a replica has', async () => {
  const { store, asked } = storeOver({ replica: stored(5, turn), leader: undefined });
  expect((await store.loadHead(key)).head.state).toEqual(jsonText({ count: 1 }));
  expect(asked).toEqual(['replica 5']);
});

it('a state that the leader does not have either is gone, and the session waits for an operator', async () => {
  const { store } = storeOver({ replica: undefined, leader: undefined });
  await expect(store.loadHead(key)).rejects.toMatchObject({ code: 'unreadable_record' });
});
