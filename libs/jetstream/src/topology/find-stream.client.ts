import { JetStreamApiError, type StreamConfig } from '@nats-io/jetstream';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import { SERVER_ERROR } from '../connection/server-errors.js';

/**
 * The configuration of a stream; `undefined` when the broker has none of this name. Rejects when the broker does not answer.
 */
export async function findStream({ jsm }: BrokerConnection, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await jsm.streams.info(name)).config;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === SERVER_ERROR.streamNotFound) return undefined;
    throw error;
  }
}
