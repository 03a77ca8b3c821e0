import { expect, it } from 'vitest';
import { silentLogger } from '#telemetry';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import type { PublishChannel, PublishOutcome } from './publish-channel.publisher.js';
import { RecordCommitter } from './record-commit.publisher.js';
import type { StreamReader } from '../reading/stream-reader.client.js';

/** A commit whose tries get these outcomes, one after another. */
function commitWith(...outcomes: readonly PublishOutcome[]) {
  const left = [...outcomes];
  const next = (): PublishOutcome => left.shift() ?? { kind: 'unknown', why: 'timeout' };
  const channel = {
    send: (_subject: string, _body: string, _headers: object, settle: (outcome: PublishOutcome) => void) =>
      settle(next()),
    publish: () => Promise.resolve(next()),
  } as unknown as PublishChannel;
  const connection = { whenUp: () => Promise.resolve() } as unknown as BrokerConnection;
  const committer = new RecordCommitter(connection, channel, {} as StreamReader, 'LK_TURNS', silentLogger);
  return committer.commit({ subject: 's', body: '{}', commitId: 'c', expectedSeq: 0 });
}

const UNSENDABLE: PublishOutcome = { kind: 'unsendable', description: 'Maximum Payload Violation' };

it('a record that can never be sent is reported, and is not tried for ever', async () => {
  expect(await commitWith(UNSENDABLE)).toEqual(UNSENDABLE);
});

it('a record that was not sent is tried again, and then reported in the same way', async () => {
  expect(await commitWith({ kind: 'unsent', why: 'no-responders' }, UNSENDABLE)).toEqual(UNSENDABLE);
  expect(
    await commitWith({ kind: 'unsent', why: 'no-responders' }, { kind: 'stored', seq: 3, duplicate: false }),
  ).toEqual({
    kind: 'won',
    seq: 3,
  });
});
