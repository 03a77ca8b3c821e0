import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { silentLogger } from '#telemetry';
import { expectNothingLeft, startBroker, until, type TestBroker } from '#testing';
import { BrokerConnection } from './nats-connection.client.js';

let broker: TestBroker;

beforeAll(async () => {
  broker = await startBroker();
});

afterAll(async () => {
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

const open = (): Promise<BrokerConnection> =>
  BrokerConnection.open({ url: broker.url, name: 'waits', log: silentLogger });

/** Memory that each unfinished wait keeps. */
const kept = (connection: BrokerConnection): number =>
  (connection as unknown as { waiting: ReadonlySet<unknown> }).waiting.size;

it('waits for the connection keep no references to each other, however many there are in an outage', async () => {
  const connection = await open();
  await broker.kill9();
  await until('the connection is down', () => !connection.isUp);
  const waits = Array.from({ length: 1_000 }, () => connection.whenUp());
  expect(new Set(waits).size).toBe(1);
  await Promise.all(Array.from({ length: 1_000 }, () => connection.whenUp(1)));
  expect([connection.isUp, kept(connection)]).toEqual([false, 1]);
  const inTime = connection.whenUp(60_000);
  await broker.restart();
  await Promise.all([...waits, inTime]);
  expect([connection.isUp, kept(connection)]).toEqual([true, 0]);
  await connection.close();
}, 30_000);

it('a wait also ends when the connection is closed for good', async () => {
  const connection = await open();
  await broker.kill9();
  await until('the connection is down', () => !connection.isUp);
  const waits = [connection.whenUp(), connection.whenUp(60_000)];
  await connection.close();
  await Promise.all(waits);
  await connection.whenUp();
  expect(kept(connection)).toBe(0);
  await broker.restart();
}, 30_000);

it('finds the broker again while the wall clock is set back by hours', async () => {
  const connection = await open();
  await broker.kill9();
  await until('the connection is down', () => !connection.isUp);
  const { now } = Date;
  // It was tried since the loss: by the wall clock of now, that lies hours in the future.
  await connection.whenUp(1_000);
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() - 36_000_000);
  try {
    await broker.restart();
    await connection.whenUp(10_000);
    expect(connection.isUp).toBe(true);
  } finally {
    clock.mockRestore();
    await connection.close();
  }
}, 30_000);
