import { afterAll, beforeAll, expect, it } from 'vitest';
import { Names } from '#contracts';
import { silentLogger } from '#telemetry';
import { connectedBroker, expectNothingLeft, until, type ConnectedBroker } from '#testing';
import { connectToStreams } from './connect-to-streams.client.js';
import { StreamMismatchError } from '../topology/topology-error.js';

let broker: ConnectedBroker;
beforeAll(async () => {
  broker = await connectedBroker();
});
afterAll(async () => {
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

const connect = (namespace: string) =>
  connectToStreams({
    ...{ url: broker.broker.url, name: 'spec', names: new Names(namespace, 64), log: silentLogger },
    settings: { nats: { replicas: 1 }, dedup: { windowMs: 60_000 } },
  });
const sockets = (): number => process.getActiveResourcesInfo().filter((what) => what === 'TCPSocketWrap').length;

it('resolves when the streams exist, whichever process created them', async () => {
  const connections = await Promise.all([connect('one'), connect('one')]);
  for (const { jsm } of connections) {
    expect((await jsm.streams.info(new Names('one', 64).inboxStream)).config.duplicate_window).toBe(60_000_000_000);
  }
  for (const connection of connections) await connection.close();
});

it('leaves no connection behind when a stream cannot be made as declared', async () => {
  const name = new Names('two', 64).inboxStream;
  await broker.connection.jsm.streams.add({ name, subjects: ['foreign.>'] });
  const before = sockets();
  await expect(connect('two')).rejects.toThrow(StreamMismatchError);
  await until('the connection is closed', () => sockets() <= before);
});
