import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import type { AcquireAnswer } from '#contracts';
import { GuardClient } from '#guards';
import { BrokerConnection } from '#jetstream';
import { silentLogger as log } from '#telemetry';
import { names } from '../bench-broker.js';
import { BARE_SUBJECT, WAYS, type Latencies, type Way } from '../guard-load.js';

/**
 * Asks for tasks at a fixed rate, whatever becomes of the former requests, and times each from its request to its answer.
 * The ways take turns of a second, so that what slows the machine down slows all of them. Started with
 * `{natsUrl, httpUrl, perSecond, rounds}`; says `done` and the latencies.
 */
const { natsUrl, httpUrl, perSecond, rounds } = JSON.parse(process.argv[2] ?? '{}') as {
  natsUrl: string;
  httpUrl: string;
  perSecond: number;
  rounds: number;
};
const WARMUP_ROUNDS = 2;
const TICK_MS = 2;
/** Of ten requests one asks for a task that another caller has. */
const HOT_EVERY = 10;
const HOT_KEYS = 5;

const connection = await BrokerConnection.open({ url: natsUrl, name: 'callers', log });
const client = new GuardClient(connection, names);
const agent = new Agent({ keepAlive: true });
const { hostname, port } = new URL(httpUrl);

const ask: Readonly<Record<Way, (key: string, requestId: string) => Promise<string>>> = {
  nats: async (key, requestId) => (await client.acquire(key, { requestId, runId: requestId })).kind,
  bare: async (key, requestId) => {
    const body = JSON.stringify({ key, request: { requestId, runId: requestId } });
    return (await connection.nc.request(BARE_SUBJECT, body, { timeout: 5_000 })).json<{ kind: string }>().kind;
  },
  http: async (key, requestId) => {
    const path = `/v1/tasks/${encodeURIComponent(key)}/acquire`;
    const answer = await post(path, JSON.stringify({ requestId, runId: requestId }));
    return (JSON.parse(answer) as AcquireAnswer).kind;
  },
};

function post(path: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request({ hostname, port, method: 'POST', path, headers, agent }, (response) => {
      text(response).then(resolve, reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const took: Record<Way, number[]> = { nats: [], bare: [], http: [] };
let number = 0;

async function send(way: Way, isTimed: boolean): Promise<void> {
  const n = number++;
  const isHot = n % HOT_EVERY === 0;
  const key = `${way}/callers::${isHot ? `hot ${(n / HOT_EVERY) % HOT_KEYS}` : `task ${n}`}`;
  const began = performance.now();
  const kind = await ask[way](key, `request ${n}`);
  if (isTimed) took[way].push(Math.round((performance.now() - began) * 1_000));
  const isGiven = kind === 'acquired' || kind === 'stored';
  const isRefused = kind === 'already_running' || kind === 'refused';
  if (!isGiven && !(isHot && isRefused)) throw new Error(`${key} was answered ${kind}`);
}

/** A second of requests of one way. */
async function round(way: Way, isTimed: boolean): Promise<void> {
  const underWay: Promise<void>[] = [];
  const startedAt = performance.now();
  while (underWay.length < perSecond) {
    const due = Math.min(perSecond, ((performance.now() - startedAt) * perSecond) / 1_000);
    while (underWay.length < due) underWay.push(send(way, isTimed));
    await pause(TICK_MS);
  }
  await Promise.all(underWay);
}

for (let i = 0; i < WARMUP_ROUNDS + rounds; i++) {
  for (const way of WAYS) await round(way, i >= WARMUP_ROUNDS);
}
// More than a pipe takes at once.
process.stdout.write(`done ${JSON.stringify(took satisfies Latencies)}\n`, () => process.exit());
