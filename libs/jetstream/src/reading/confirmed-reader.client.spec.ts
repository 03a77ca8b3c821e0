import { expect, it } from 'vitest';
import { ConfirmedReader } from './confirmed-reader.client.js';
import type { StoredMessage, StreamReader } from './stream-reader.client.js';

const stored = (seq: number): StoredMessage => ({
  ...{ subject: seq % 2 === 0 ? 'even' : 'odd', seq, storedAtMs: seq, data: new Uint8Array() },
  header: () => '',
});

/** The leader has messages 1 to 9; the replicas answer in turn, each up to its own last message. */
function readerOf(...replicas: readonly number[]) {
  let turn = 0;
  const asked: string[] = [];
  const upTo = (last: number) => Array.from({ length: last }, (_, i) => stored(i + 1));
  const replica = () => upTo(replicas[turn++ % replicas.length] ?? 9);
  const reader: Pick<StreamReader, 'message' | 'messagesOf' | 'leaderLast' | 'leaderNext' | 'leaderMessage'> = {
    message: async (_stream, seq) => replica().find((message) => message.seq === seq),
    async *messagesOf(_stream, subject, fromSeq) {
      yield* replica().filter((message) => message.subject === subject && message.seq >= fromSeq);
    },
    leaderLast: async (_stream, subject) => upTo(9).findLast((message) => message.subject === subject),
    leaderNext: async (_stream, subject, fromSeq) => {
      asked.push(`next from ${fromSeq}`);
      return upTo(9).find((message) => message.subject === subject && message.seq >= fromSeq);
    },
    leaderMessage: async (_stream, seq) => {
      asked.push(`message ${seq}`);
      return upTo(9).find((message) => message.seq === seq);
    },
  };
  return { reader: new ConfirmedReader(reader), asked };
}

async function seqsOf(messages: AsyncIterable<StoredMessage>): Promise<number[]> {
  const seqs: number[] = [];
  for await (const { seq } of messages) seqs.push(seq);
  return seqs;
}

it.each<[string, number[]]>([
  ['is whole', [9]],
  ['is behind', [3]],
  ['has nothing yet', [0]],
  ['is behind, and the next one is not', [4, 9]],
  ['is whole, and the next one is behind', [9, 0]],
])('all messages of a subject are found when the replica that answers %s', async (_title, replicas) => {
  const { reader } = readerOf(...replicas);
  expect(await seqsOf(reader.messagesOf('S', 'odd', 3))).toEqual([3, 5, 7, 9]);
  expect(await seqsOf(reader.messagesOf('S', 'none', 1))).toEqual([]);
});

it('the leader is asked once for the end of a subject, and not for messages that a replica has', async () => {
  const { reader, asked } = readerOf(9);
  await seqsOf(reader.messagesOf('S', 'odd', 3));
  await reader.message('S', 4);
  expect(asked).toEqual(['next from 10']);
});

it('a message that a replica does not have comes from the leader, or does not exist', async () => {
  const { reader } = readerOf(3);
  expect(await reader.message('S', 5)).toMatchObject({ seq: 5 });
  expect(await reader.message('S', 10)).toBeUndefined();
});

it('the last message of a subject comes from the leader', async () => {
  const { reader } = readerOf(3);
  expect(await reader.last('S', 'even')).toMatchObject({ seq: 8 });
  expect(await reader.last('S', 'none')).toBeUndefined();
});
