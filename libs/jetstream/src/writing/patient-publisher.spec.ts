import { expect, it } from 'vitest';
import { silentLogger } from '#telemetry';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import { PatientPublisher } from './patient-publisher.publisher.js';
import type { PublishChannel, PublishOutcome } from './publish-channel.publisher.js';

const stored: PublishOutcome = { kind: 'stored', seq: 1, duplicate: false };
const refused: PublishOutcome = { kind: 'refused', code: 10_077, description: 'maximum bytes exceeded' };
const away: PublishOutcome = { kind: 'unsent', why: 'disconnected' };

/** Answers with the outcomes one after another, and then the last one for ever. */
function publisherOf(...outcomes: PublishOutcome[]) {
  const tries = { count: 0 };
  const channel = {
    publish: () => Promise.resolve(outcomes[Math.min(tries.count++, outcomes.length - 1)]),
  } as unknown as PublishChannel;
  const connection = { whenUp: () => Promise.resolve() } as unknown as BrokerConnection;
  return { publisher: new PatientPublisher(connection, channel, silentLogger), tries };
}

it('keeps trying through an outage and after an unclear answer', async () => {
  const { publisher, tries } = publisherOf(away, { kind: 'unknown', why: 'timeout' }, stored);
  expect(await publisher.keep('s', 'x')).toBe('kept');
  expect(tries.count).toBe(3);
});

it('gives up at once on what can never be sent, so that a view blocks nothing (L6)', async () => {
  const { publisher, tries } = publisherOf({ kind: 'unsendable', description: 'too large' });
  expect(await publisher.keep('s', 'x')).toBe('given-up');
  expect(tries.count).toBe(1);
});

it('gives up on a broker that keeps refusing (L6)', async () => {
  const { publisher, tries } = publisherOf(refused);
  expect(await publisher.keep('s', 'x')).toBe('given-up');
  expect(tries.count).toBe(5);
});

it('ends when the process stops', async () => {
  const { publisher } = publisherOf(away);
  publisher.stop();
  expect(await publisher.keep('s', 'x')).toBe('stopped');
});
