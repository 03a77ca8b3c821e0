import { expect, it } from 'vitest';
import type { BrokerConnection } from './nats-connection.client.js';
import { retryWhenUp } from './retry-when-up.client.js';

/** A connection that comes up when the spec says so, and an attempt that fails once. */
function setUp() {
  const steps: string[] = [];
  let isClosed = false;
  const up = Promise.withResolvers<void>();
  const connection = {
    nc: { isClosed: () => isClosed },
    whenUp: () => (steps.push('waits for the connection'), up.promise),
  } as unknown as BrokerConnection;
  const attempt = () => {
    steps.push('tries');
    return steps.includes('fails') ? Promise.resolve('answer') : Promise.reject(new Error('away'));
  };
  const onFailure = () => void steps.push('fails');
  const retried = (isStopped?: () => boolean) =>
    retryWhenUp(connection, attempt, { onFailure, ...(isStopped && { isStopped }) });
  return { steps, retried, comesUp: up.resolve, close: () => (isClosed = true) };
}

it('tries again a moment after the connection is up', async () => {
  const { steps, retried, comesUp } = setUp();
  const answer = retried();
  await new Promise((resolve) => setImmediate(resolve));
  expect(steps).toEqual(['tries', 'fails', 'waits for the connection']);
  const upAt = performance.now();
  comesUp();
  expect(await answer).toBe('answer');
  expect(performance.now() - upAt).toBeGreaterThan(200);
  expect(steps.at(-1)).toBe('tries');
});

it('ends without an answer when the connection is closed for good', async () => {
  const { steps, retried, comesUp, close } = setUp();
  const answer = retried();
  close();
  comesUp();
  expect(await answer).toBeUndefined();
  expect(steps).toEqual(['tries', 'fails', 'waits for the connection']);
});

it('does not try for a caller that has stopped', async () => {
  const { steps, retried } = setUp();
  expect(await retried(() => true)).toBeUndefined();
  expect(steps).toEqual([]);
});
