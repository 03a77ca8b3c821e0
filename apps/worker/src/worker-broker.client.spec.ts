import { afterEach, expect, it } from 'vitest';
import { loadSettings } from '#config';
import { Names } from '#contracts';
import { silentLogger, type Logger } from '#telemetry';
import { expectNothingLeft, startBroker, startFaultProxy, until, type FaultProxy } from '#testing';
import { openWorkerBroker } from './worker-broker.client.js';

afterEach(expectNothingLeft);

/** A worker's connection to the broker through a link that can be broken, and its warnings. */
async function openBehind({ url: natsUrl }: FaultProxy) {
  const told: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_fields, message) => void told.push(message) };
  const settings = loadSettings({ env: {} });
  const names = new Names('lk', 64);
  const worker = await openWorkerBroker({ settings, natsUrl, names, workerId: 'w', incarnation: 'w/1', log });
  return { worker, told };
}

it('a worker that gets no answer when it checks its id waits, logs it, and joins by itself', async () => {
  await using broker = await startBroker();
  await using link = await startFaultProxy(broker.port);
  const { worker, told } = await openBehind(link);
  try {
    const parts = await worker.makeParts(new Map());
    link.dropFromServer();
    const joining = parts.join();
    await until('it says what it waits for', () => told.some((line) => line.startsWith('JetStream does not answer')));
    link.heal();
    await expect(joining).resolves.toBeUndefined();
    await parts.giveShardsAway();
    await parts.leave();
  } finally {
    await worker.close();
  }
});

it('a worker joins, takes its shards and stays a member when the broker answers everything a second late', async () => {
  await using broker = await startBroker();
  await using link = await startFaultProxy(broker.port);
  const { worker, told } = await openBehind(link);
  try {
    const parts = await worker.makeParts(new Map());
    link.slowDown(1_000);
    await parts.join();
    await parts.giveShardsAway();
    await parts.leave();
    expect(told).toEqual([]);
  } finally {
    await worker.close();
  }
}, 45_000);
