import type { Names } from '#contracts';
import { applyTopology, BrokerConnection, declareTopology, KeyBucket, PublishChannel, StreamReader } from '#jetstream';
import { silentLogger } from '#telemetry';
import { startBroker, type TestBroker } from './nats-broker.js';

/** A broker of a spec's own, and what a process has on it. */
export interface ConnectedBroker extends AsyncDisposable {
  readonly broker: TestBroker;
  readonly connection: BrokerConnection;
  readonly channel: PublishChannel;
  readonly reader: StreamReader;
  bucket(name: string): KeyBucket;
  /** Those of an installation that are missing. One broker keeps several installations apart by their names. */
  makeStreams(names: Names): Promise<void>;
}

/** For specs of what talks to a real broker itself; whole services bring a connection of their own. */
export async function connectedBroker(): Promise<ConnectedBroker> {
  const broker = await startBroker();
  const connection = await BrokerConnection.open({ url: broker.url, name: 'spec', log: silentLogger });
  const channel = new PublishChannel(connection);
  const reader = new StreamReader(connection);
  return {
    ...{ broker, connection, channel, reader },
    bucket: (name) => new KeyBucket(connection, channel, reader, name, silentLogger),
    makeStreams: (names) =>
      applyTopology(connection, declareTopology(names, { replicas: 1, dedupWindowMs: 60_000 }), silentLogger),
    async [Symbol.asyncDispose]() {
      channel.close();
      await connection.close();
      await broker[Symbol.asyncDispose]();
    },
  };
}
