import { DeliverPolicy } from '@nats-io/jetstream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Names } from '#contracts';
import { connectedBroker, expectNothingLeft, until, type ConnectedBroker } from '#testing';
import { OrderedPull } from './ordered-pull.consumer.js';

const names = new Names('lk', 16);
const COUNT = 400;
const MAX_MESSAGES = 48;
let broker: ConnectedBroker;

beforeAll(async () => {
  broker = await connectedBroker();
  await broker.makeStreams(names);
  const subject = names.ingestSubject(names.sessionTokens('main', 'a'));
  await Promise.all(Array.from({ length: COUNT }, () => broker.channel.publish(subject, 'x', {})));
});

afterAll(async () => {
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

/** A pull over the whole stream, with a consumer that the broker removes when it gets no request for so long. */
async function startPull(inactiveMs: number, hasRoom: () => boolean) {
  const { shard } = names.sessionTokens('main', 'a');
  const consumer = await broker.connection.js.consumers.get(names.inboxStream, {
    filter_subjects: [names.inboxShardFilter(shard)],
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: 1,
    inactive_threshold: inactiveMs,
  });
  const { name } = await consumer.info();
  const seqs: number[] = [];
  const times: number[] = [];
  let ended: string | undefined;
  const pull = new OrderedPull(broker.connection, {
    ...{ stream: names.inboxStream, consumer: name, maxMessages: MAX_MESSAGES, maxBytes: 1_000_000, hasRoom },
    expiresMs: 1_000,
    heartbeatMs: 300,
    onMessage: ({ seq }) => {
      seqs.push(seq);
      times.push(performance.now());
    },
  });
  void pull.ended.then((reason) => (ended = reason));
  const isThere = (): Promise<boolean> =>
    broker.connection.jsm.consumers.info(names.inboxStream, name).then(
      () => true,
      () => false,
    );
  const endedBy = (): string | undefined => ended;
  return { pull, seqs, times, endedBy, isThere, [Symbol.dispose]: () => pull.stop() };
}

it('L6 without room it asks for one message at a time, more and more rarely, and resumes when there is room', async () => {
  let hasRoom = false;
  using reading = await startPull(30_000, () => hasRoom);
  const { pull, seqs, times, endedBy } = reading;
  await until('three messages', () => seqs.length === 3);
  const [first = 0, second = 0, third = 0] = times;
  expect(second - first).toBeGreaterThan(450);
  expect(third - second).toBeGreaterThan(900);
  hasRoom = true;
  pull.resume();
  await until('all are read', () => seqs.length === COUNT);
  expect([seqs, endedBy()]).toEqual([Array.from({ length: COUNT }, (_, i) => i + 1), undefined]);
});

it('resumes by itself when there is room, even when `resume` was not called', async () => {
  let left = 100;
  using reading = await startPull(30_000, () => left-- > 0 || left < -60);
  await until('all are read', () => reading.seqs.length === COUNT);
});

it('its consumer outlives its threshold while there is no room, and the pause does not count as silence', async () => {
  // By then the pause between two requests is longer than that, as with the real numbers.
  using reading = await startPull(3_000, () => false);
  await until('four messages', () => reading.seqs.length === 4, { timeoutMs: 10_000 });
  expect([await reading.isThere(), reading.endedBy()]).toEqual([true, undefined]);
  reading.pull.stop();
  await until('the unused consumer is removed', async () => !(await reading.isThere()), { timeoutMs: 10_000 });
});
