import { afterAll, beforeAll } from 'vitest';
import { Names } from '#contracts';
import { connectedBroker, expectNothingLeft, ManualClock, until, type ConnectedBroker } from '#testing';
import { KvTaskStore } from './kv-task-store.client.js';
import { MemoryTaskStore } from './memory-task-store.js';
import { describeTaskStore } from './task-store.conformance.fixture.js';

let connected: ConnectedBroker;
let places = 0;

beforeAll(async () => void (connected = await connectedBroker()));

afterAll(async () => {
  await connected[Symbol.asyncDispose]();
  await expectNothingLeft();
});

describeTaskStore('in memory', async () => {
  const clock = new ManualClock();
  return { store: new MemoryTaskStore(clock), clock, untilGone: () => clock.advance(1_000) };
});

describeTaskStore('on the broker', async () => {
  const names = new Names(`n${places++}`, 16);
  await connected.makeStreams(names);
  const store = new KvTaskStore(connected.bucket(names.tasksBucket), names);
  const untilGone = async (key: string) =>
    void (await until('a key is gone', async () => (await store.read(key)).entry === undefined));
  return { store, clock: new ManualClock(), untilGone };
});
