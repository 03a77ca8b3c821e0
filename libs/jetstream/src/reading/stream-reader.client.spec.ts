import { JetStreamApiError } from '@nats-io/jetstream';
import { headers as natsHeaders, TimeoutError } from '@nats-io/transport-node';
import { expect, it, vi } from 'vitest';
import { BrokerAwayError } from '../connection/broker-away-error.js';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import { StreamReader } from './stream-reader.client.js';

function readerWhoseLeaderFails(problem: Error): StreamReader {
  const fail = (): Promise<never> => Promise.reject(problem);
  const connection = { jsm: { streams: { getMessage: fail, info: fail } } } as unknown as BrokerConnection;
  return new StreamReader(connection, { timeoutMs: 1 });
}

const reads: [string, (reader: StreamReader) => Promise<unknown>][] = [
  ['the next message of a subject', (reader) => reader.leaderNext('S', 's', 1)],
  ['the last message of a subject', (reader) => reader.leaderLast('S', 's')],
  ['one message', (reader) => reader.leaderMessage('S', 1)],
  ['the last sequence', (reader) => reader.leaderLastSeq('S')],
];

it.each(reads)('%s is an outage when no leader answers, so that callers are told to try again', async (_what, read) => {
  const election = new JetStreamApiError({ code: 503, err_code: 10_008, description: 'temporarily unavailable' });
  for (const error of [new TimeoutError(), election]) {
    await expect(read(readerWhoseLeaderFails(error))).rejects.toBeInstanceOf(BrokerAwayError);
  }
  const noStream = new JetStreamApiError({ code: 404, err_code: 10_059, description: 'stream not found' });
  await expect(read(readerWhoseLeaderFails(noStream))).rejects.toBe(noStream);
});

it.each(reads)('%s is requested again during an election: what was sent before is lost', async (_what, read) => {
  const election = new JetStreamApiError({ code: 503, err_code: 10_008, description: 'temporarily unavailable' });
  let asked = 0;
  const answer = async (): Promise<unknown> => {
    asked++;
    // Like a leader that has just died: no answer ever.
    if (asked === 1) return new Promise(() => {});
    if (asked === 2) throw election;
    return { seq: 7, time: new Date(0), data: new Uint8Array(), state: { last_seq: 7 } };
  };
  const connection = { jsm: { streams: { getMessage: answer, info: answer } } } as unknown as BrokerConnection;
  const beganAt = performance.now();
  await read(new StreamReader(connection));
  expect(asked).toBe(3);
  // One long try would take five seconds.
  expect(performance.now() - beganAt).toBeLessThan(2_000);
});

it('a small read from any replica is requested again if `asksAgain`, and a late answer counts too', async () => {
  /** Answers the nth direct get after so many ms; undefined = never. */
  const brokerOf = (answersMs: readonly (number | undefined)[]) => {
    let asked = 0;
    const inboxes = new Map<string, (error: null, message: object) => void>();
    const nc = {
      subscribe: (inbox: string, { callback }: { callback: (error: null, message: object) => void }) => {
        inboxes.set(inbox, callback);
        return { unsubscribe: () => inboxes.delete(inbox) };
      },
      publish: (_subject: string, _body: string, { reply }: { reply: string }) => {
        const ms = answersMs[asked++];
        if (ms !== undefined) setTimeout(() => inboxes.get(reply)?.(null, { headers: natsHeaders(404, 'none') }), ms);
      },
    };
    const connection = { nc, isUp: true, onDown: () => () => {} } as unknown as BrokerConnection;
    return { connection, asked: () => asked, inboxes };
  };
  const options = { timeoutMs: 1_500, asksAgain: true };
  const lost = brokerOf([undefined, 1]);
  await new StreamReader(lost.connection, options).lastPerSubject('S', ['s']);
  expect(lost.asked()).toBe(2);
  const slow = brokerOf([1_000, 1_000]);
  const beganAt = performance.now();
  await new StreamReader(slow.connection, options).lastPerSubject('S', ['s']);
  expect(performance.now() - beganAt).toBeLessThan(1_400);
  const once = brokerOf([undefined, 1]);
  const read = new StreamReader(once.connection, { timeoutMs: 900 }).lastPerSubject('S', ['s']);
  await expect(read).rejects.toBeInstanceOf(BrokerAwayError);
  expect(once.asked()).toBe(1);
  await vi.waitFor(() => expect([lost, slow, once].map(({ inboxes }) => inboxes.size)).toEqual([0, 0, 0]), 3_000);
});
