import { setTimeout as delay } from 'node:timers/promises';
import { retryWhile } from '#contracts';
import type { BrokerConnection } from './nats-connection.client.js';

export interface RetryWhenUpOptions {
  /** Called after each failure. */
  readonly onFailure?: (error: unknown) => void;
  /** True: the caller needs no result any more - default: never. */
  readonly isStopped?: () => boolean;
}

const RETRY_MS = 250;

/**
 * Repeats a request to the broker until it succeeds: after each failure it waits until the connection is up, and then a moment.
 * `undefined` when the caller stops or the connection is closed for good.
 */
export function retryWhenUp<T>(
  connection: Pick<BrokerConnection, 'nc' | 'whenUp'>,
  attempt: () => Promise<T>,
  { onFailure = () => {}, isStopped = () => false }: RetryWhenUpOptions = {},
): Promise<T | undefined> {
  return retryWhile(attempt, {
    mayTry: () => !isStopped() && !connection.nc.isClosed(),
    wait: async (error) => {
      onFailure(error);
      await connection.whenUp();
      await delay(RETRY_MS);
    },
  });
}
