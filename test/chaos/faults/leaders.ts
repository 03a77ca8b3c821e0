import { connect, type NatsConnection } from '@nats-io/transport-node';
import { SYSTEM_USER } from '#testing';
import type { Brokers } from '../brokers.js';
import type { FaultKind } from '../plan.js';
import type { Doing } from './targets.js';

const PATIENCE_MS = 2_000;

/** Leaders that step down by request, of streams (a bucket is one), of their consumers, and of the cluster itself. */
export const LEADERS = {
  'all leaders step down': async ({ brokers }) =>
    asking(brokers, async (nc) => stepDown(nc, (await namesOf(nc, 'STREAM.NAMES')).map(ofStream))),
  'one leader steps down': async ({ brokers }, { peer }) =>
    asking(brokers, async (nc) => {
      const streams = await namesOf(nc, 'STREAM.NAMES');
      const stream = streams[peer % streams.length];
      return stream === undefined ? 'no stream was found' : `${stream}: ${await stepDown(nc, [ofStream(stream)])}`;
    }),
  'leaders of consumers step down': async ({ brokers }) =>
    asking(brokers, async (nc) => {
      const streams = await namesOf(nc, 'STREAM.NAMES');
      const consumers = await Promise.all(
        streams.map(async (stream) => {
          const names = await namesOf(nc, `CONSUMER.NAMES.${stream}`);
          return names.map((name) => `CONSUMER.LEADER.STEPDOWN.${stream}.${name}`);
        }),
      );
      return stepDown(nc, consumers.flat());
    }),
  'leader of the cluster steps down': async ({ brokers }) =>
    asking(brokers, (nc) => stepDown(nc, ['META.LEADER.STEPDOWN']), SYSTEM_USER),
} as const satisfies Partial<Record<FaultKind, Doing>>;

const ofStream = (name: string): string => `STREAM.LEADER.STEPDOWN.${name}`;

/** One by one, as an operator does it; a group that has no leader now, or no other node, says so. */
async function stepDown(nc: NatsConnection, requests: readonly string[]): Promise<string> {
  let done = 0;
  for (const request of requests) {
    const answer = await ask<{ success?: boolean }>(nc, request).catch(() => ({ success: false }));
    if (answer.success === true) done++;
  }
  return `${done} of ${requests.length} stepped down`;
}

async function namesOf(nc: NatsConnection, request: string): Promise<string[]> {
  const { streams = [], consumers = [] } = await ask<{ streams?: string[]; consumers?: string[] }>(nc, request);
  return [...streams, ...consumers];
}

async function ask<T>(nc: NatsConnection, request: string): Promise<T> {
  const answer = await nc.request(`$JS.API.${request}`, '', { timeout: PATIENCE_MS });
  return answer.json<T>();
}

/** By the first node that answers: one that is away, or cut off from the others, does not. */
async function asking(
  { nodes }: Brokers,
  say: (nc: NatsConnection) => Promise<string>,
  user: { readonly user?: string; readonly pass?: string } = {},
): Promise<string> {
  for (const { url } of nodes) {
    const said = await askingAt(url, say, user).catch(() => undefined);
    if (said !== undefined) return said;
  }
  return 'no node answered';
}

async function askingAt(url: string, say: (nc: NatsConnection) => Promise<string>, user: object): Promise<string> {
  const nc = await connect({
    servers: url,
    ignoreClusterUpdates: true,
    reconnect: false,
    timeout: PATIENCE_MS,
    ...user,
  });
  try {
    return await say(nc);
  } finally {
    await nc.close();
  }
}
