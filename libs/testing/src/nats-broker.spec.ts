import { connect } from '@nats-io/transport-node';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { afterEach, expect, test } from 'vitest';
import { expectNothingLeft } from './leak-check.js';
import { startBroker } from './nats-broker.js';

afterEach(expectNothingLeft);

test('acknowledged messages survive a kill -9 and a restart on the same port', async () => {
  await using broker = await startBroker();
  const before = await connect({ servers: broker.url, reconnect: false });
  await (await jetstreamManager(before)).streams.add({ name: 'S', subjects: ['s.>'] });
  await jetstream(before).publish('s.one', 'kept');
  const firstPid = broker.pid;

  await broker.kill9();
  await before.closed();
  await broker.restart();

  expect(broker.pid).not.toBe(firstPid);
  const after = await connect({ servers: broker.url });
  const message = await (await jetstreamManager(after)).streams.getMessage('S', { seq: 1 });
  expect(message?.string()).toBe('kept');
  await after.close();
});

test('two brokers run side by side', async () => {
  await using one = await startBroker();
  await using two = await startBroker();
  expect(one.port).not.toBe(two.port);
});

test('a port in use is an error with the output of nats-server', async () => {
  await using broker = await startBroker();
  await expect(startBroker({ port: broker.port })).rejects.toThrow('address already in use');
});
