import { JetStreamApiError } from '@nats-io/jetstream';
import { TimeoutError } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { BrokerAwayError } from './broker-away-error.js';
import type { BrokerConnection } from './nats-connection.client.js';
import { StreamReader } from './stream-reader.client.js';

function readerWhoseLeaderFails(problem: Error): StreamReader {
  const fail = (): Promise<never> => Promise.reject(problem);
  return new StreamReader({ jsm: { streams: { getMessage: fail, info: fail } } } as unknown as BrokerConnection);
}

const reads: [string, (reader: StreamReader) => Promise<unknown>][] = [
  ['the next of a subject', (reader) => reader.leaderNext('S', 's', 1)],
  ['the last of a subject', (reader) => reader.leaderLast('S', 's')],
  ['one message', (reader) => reader.leaderMessage('S', 1)],
  ['the last sequence', (reader) => reader.leaderLastSeq('S')],
];

it.each(reads)(
  '%s is an outage when no leader answers, so that callers are told to come again',
  async (_what, read) => {
    const election = new JetStreamApiError({ code: 503, err_code: 10_008, description: 'temporarily unavailable' });
    for (const error of [new TimeoutError(), election]) {
      await expect(read(readerWhoseLeaderFails(error))).rejects.toBeInstanceOf(BrokerAwayError);
    }
    const noStream = new JetStreamApiError({ code: 404, err_code: 10_059, description: 'stream not found' });
    await expect(read(readerWhoseLeaderFails(noStream))).rejects.toBe(noStream);
  },
);
