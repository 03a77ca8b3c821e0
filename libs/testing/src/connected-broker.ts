import type { Names } from '#contracts';
import { applyTopology, BrokerConnection, declareTopology, KeyBucket, PublishChannel, StreamReader } from '#jetstream';
import { silentLogger } from '#telemetry';
import { startBroker, type TestBroker } from './nats-broker.js';

/** A broker for one spec, with a connection and the parts that a process builds on it. */
export interface ConnectedBroker extends AsyncDisposable {
  readonly broker: TestBroker;
  readonly connection: BrokerConnection;
  readonly channel: PublishChannel;
  readonly reader: StreamReader;
  bucket(name: string): KeyBucket;
  /** Creates the missing streams of an installation. One broker may have several installations with different names. */
  makeStreams(names: Names): Promise<void>;
}

/** For specs of code that talks to a real broker. Whole services open their own connection. */
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
