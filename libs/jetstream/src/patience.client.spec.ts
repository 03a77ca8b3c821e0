import { JetStreamApiError } from '@nats-io/jetstream';
import { TimeoutError } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { silentLogger, type Logger } from '#telemetry';
import { BrokerAwayError } from './broker-away-error.js';
import { untilJetStreamAnswers } from './patience.client.js';

const apiError = (code: number, description: string): Error =>
  new JetStreamApiError({ code: 503, err_code: code, description });

/** Fails with these, one after another, then answers. */
function failing(...errors: Error[]): () => Promise<string> {
  return () => {
    const error = errors.shift();
    return error === undefined ? Promise.resolve('answer') : Promise.reject(error);
  };
}

function warnings(): { log: Logger; told: [object, string][] } {
  const told: [object, string][] = [];
  return { told, log: { ...silentLogger, warn: (fields, message) => void told.push([fields, message]) } };
}

it('waits while nobody is there to answer, and says once for each reason what it waits for', async () => {
  const { log, told } = warnings();
  const attempt = failing(
    new TimeoutError(),
    new TimeoutError(),
    new BrokerAwayError(),
    apiError(10_008, 'JetStream system temporarily unavailable'),
  );
  expect(await untilJetStreamAnswers(attempt, { log })).toBe('answer');
  expect(told.map(([, message]) => message)).toEqual(Array(3).fill(expect.stringContaining('elects a leader')));
  expect(told[0]?.[0]).toEqual({ error: 'TimeoutError: timeout' });
});

it('a mistake does not heal by waiting', async () => {
  const { log, told } = warnings();
  const mistake = apiError(10_074, 'replicas > 1 not supported in non-clustered mode');
  await expect(untilJetStreamAnswers(failing(mistake), { log })).rejects.toBe(mistake);
  expect(told).toEqual([]);
});

it('a stop ends the wait, also between two tries', async () => {
  const stopping = new AbortController();
  const { log } = warnings();
  const waiting = untilJetStreamAnswers(() => Promise.reject(new TimeoutError()), {
    log: { ...log, warn: () => stopping.abort() },
    signal: stopping.signal,
  });
  await expect(waiting).rejects.toThrow(/abort/i);
  await expect(untilJetStreamAnswers(failing(), { log, signal: stopping.signal })).rejects.toThrow(/abort/i);
});
