import type { Settings } from '#config';
import type { Names } from '#contracts';
import { BrokerConnection, type BrokerConnectionOptions } from './nats-connection.client.js';
import { applyTopology } from '../topology/topology.client.js';
import { declareTopology } from '../topology/topology.js';

export interface StreamsConnectionOptions extends BrokerConnectionOptions {
  readonly names: Names;
  readonly settings: Pick<Settings, 'nats' | 'dedup'>;
}

/**
 * A connection to a broker whose streams are as these settings declare them. Waits for the broker, and for its leader, until
 * `signal` aborts. Leaves no connection behind when it rejects.
 */
export async function connectToStreams(options: StreamsConnectionOptions): Promise<BrokerConnection> {
  const { names, settings, log, signal } = options;
  const { replicas } = settings.nats;
  const connection = await BrokerConnection.open(options);
  try {
    const topology = declareTopology(names, { replicas, dedupWindowMs: settings.dedup.windowMs });
    await applyTopology(connection, topology, log, signal);
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}
