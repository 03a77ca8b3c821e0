import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { DeliverPolicy } from '@nats-io/jetstream';
import { Injectable } from '@nestjs/common';
import { OnTurn } from '#agents';
import { loadSettings } from '#config';
import { BrokerConnection, PublishChannel } from '#jetstream';
import { silentLogger as log } from '#telemetry';
import { startWorker } from '#worker';
import { names } from '../bench-broker.js';
import { makeWork, type Message } from '../work.js';

/**
 * From the publish of a message to the first line of its handler, beside the publish of a message to the callback of an
 * ordered consumer. Worker, publisher and consumer are in this one process, so that one clock tells both ends, and each
 * has a connection of its own. Started with `{natsUrl, samples}`; says `done` and the samples in microseconds.
 */
const { natsUrl, samples } = JSON.parse(process.argv[2] ?? '{}') as { natsUrl: string; samples: number };
const BARE = { stream: 'BARE', subject: 'bare.in' };
/** Long enough for the commit to be over: the next message finds everything idle. */
const IDLE_MS = 3;
const WARMUP = 500;

let arrive = (): void => {};

@Injectable()
class NoopAgent {
  @OnTurn('main')
  answer(): void {
    arrive();
  }
}

const open = (name: string) => BrokerConnection.open({ url: natsUrl, name, log });
const settings = loadSettings({ env: {} });
await startWorker({ settings, natsUrl, log, providers: [NoopAgent] });
const publisher = await open('publisher');
const channel = new PublishChannel(publisher);
const reader = await open('bare consumer');
await reader.jsm.streams.add({ name: BARE.stream, subjects: [BARE.subject] });
const consumer = await reader.js.consumers.get(BARE.stream, { deliver_policy: DeliverPolicy.New });
await consumer.consume({ callback: () => arrive() });
// Every shard has to have its reader before a message of it can be taken as late.
while ((await publisher.jsm.streams.info(names.inboxStream)).state.consumer_count < names.shards) await pause(10);

async function sample(subject: string, body: string, headers: Record<string, string>): Promise<number> {
  await pause(IDLE_MS);
  let began = 0;
  const arrived = new Promise<number>((resolve) => {
    arrive = () => resolve(Math.round((performance.now() - began) * 1_000));
  });
  began = performance.now();
  const stored = channel.publish(subject, body, headers);
  const tookUs = await arrived;
  await stored;
  return tookUs;
}

const total = WARMUP + samples;
const size = { messages: total, sessions: total, warmup: 0 };
const unread = makeWork(names, size).messages;
// The same sessions again, under other ids.
const known = unread.map((message) => ({ ...message, headers: { 'Nats-Msg-Id': randomUUID() } }));
const took = { unread: [] as number[], known: [] as number[], bare: [] as number[] };
const bare = { ...BARE, kind: 'bare' as const };
for (let i = 0; i < total; i++) {
  const ours = [
    { ...(unread[i] as Message), kind: 'unread' as const },
    { ...(known[i] as Message), kind: 'known' as const },
  ];
  const { body } = ours[0] as Message;
  const theirs = { ...bare, body, headers: { 'Nats-Msg-Id': randomUUID() } };
  // In turn: what one leaves to be done must not always fall to the same one.
  for (const { kind, subject, body, headers } of i % 2 === 0 ? [...ours, theirs] : [theirs, ...ours]) {
    took[kind].push(await sample(subject, body, headers));
  }
}
for (const values of Object.values(took)) values.splice(0, WARMUP);
// More than a pipe takes at once.
process.stdout.write(`done ${JSON.stringify(took)}\n`, () => process.exit());
