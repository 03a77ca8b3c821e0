import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterEach, expect, test } from 'vitest';
import { startFaultProxy } from './fault-proxy.js';
import { expectNothingLeft } from './leak-check.js';
import { startBroker } from './nats-broker.js';
import { until } from './until.js';

afterEach(expectNothingLeft);

const storedIn = async (connection: NatsConnection) =>
  (await (await jetstreamManager(connection)).streams.info('S')).state.messages;

test('dropFromServer: the broker stores, the client hears nothing, and works again after heal', async () => {
  await using broker = await startBroker();
  await using proxy = await startFaultProxy(broker.port);
  const direct = await connect({ servers: broker.url });
  await (await jetstreamManager(direct)).streams.add({ name: 'S', subjects: ['s'] });
  const through = await connect({ servers: proxy.url, reconnectTimeWait: 20 });
  await jetstream(through).publish('s', 'heard');

  proxy.dropFromServer();
  await expect(jetstream(through).publish('s', 'unheard', { timeout: 300 })).rejects.toThrow();
  expect(await storedIn(direct)).toBe(2);

  proxy.heal();
  await until('a publish gets through', () => jetstream(through).publish('s', 'again', { timeout: 300 }));
  await Promise.all([direct.close(), through.close()]);
});

test('dropFromClient: the broker stores nothing of what was sent', async () => {
  await using broker = await startBroker();
  await using proxy = await startFaultProxy(broker.port);
  const direct = await connect({ servers: broker.url });
  await (await jetstreamManager(direct)).streams.add({ name: 'S', subjects: ['s'] });
  const through = await connect({ servers: proxy.url, reconnectTimeWait: 20 });

  proxy.dropFromClient();
  await expect(jetstream(through).publish('s', 'lost', { timeout: 300 })).rejects.toThrow();
  expect(await storedIn(direct)).toBe(0);

  proxy.heal();
  await until('a publish gets through', () => jetstream(through).publish('s', 'again', { timeout: 300 }));
  await Promise.all([direct.close(), through.close()]);
});

test('cutAll: a client is disconnected and comes back by itself', async () => {
  await using broker = await startBroker();
  await using proxy = await startFaultProxy(broker.port);
  const client = await connect({ servers: proxy.url, reconnectTimeWait: 20 });
  const back = (async () => {
    for await (const { type } of client.status()) if (type === 'reconnect') return type;
    return 'closed';
  })();
  proxy.cutAll();
  expect(await back).toBe('reconnect');
  await client.close();
});
