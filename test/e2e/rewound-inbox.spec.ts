import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, startBroker, tempDir, until } from '#testing';
import { ApiClient } from '../support/api-client.js';
import { spawnCli, type Place } from '../support/built-program.js';
import { startCluster, type Cluster } from '../support/cluster.js';
import { expectDecidedOnceInOrder } from '../support/history-check.js';
import { startUp } from '../support/lanekeeper-up.js';
import { answerJson, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

async function repair(place: Place, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const command = await spawnCli(place, ['repair', 'inbox', ...args]);
  const { code } = await command.exited;
  return { code, output: command.output() };
}

async function withManager<T>({ broker }: Cluster, fn: (jsm: JetStreamManager) => Promise<T>): Promise<T> {
  const nc = await connect({ servers: broker.url });
  try {
    return await fn(await jetstreamManager(nc));
  } finally {
    await nc.close();
  }
}

const lastSeq = (cluster: Cluster): Promise<number> =>
  withManager(cluster, async (jsm) => (await jsm.streams.info('LK_INBOX')).state.last_seq);

/** Leases are written every few seconds: until then only the records could say how far the inbox had come. */
async function untilLeasesSay(cluster: Cluster, seq: number): Promise<void> {
  await until(`the leases say ${seq}`, () =>
    withManager(cluster, async (jsm) => {
      const subjects = await jsm.streams.info('KV_lk_shards', { subjects_filter: '>' });
      for (const subject of Object.keys(subjects.state.subjects ?? {})) {
        const stored = await jsm.streams.getMessage('KV_lk_shards', { last_by_subj: subject });
        if (stored?.json<{ read: number }>().read === seq) return true;
      }
      return false;
    }),
  );
}

/** The stream as it is after an operator deleted it: the next role that starts makes it anew. */
async function deleteInbox(cluster: Cluster): Promise<void> {
  await withManager(cluster, (jsm) => jsm.streams.delete('LK_INBOX'));
}

it('roles that start on a rewound inbox are not ready and take nothing, until an operator repairs it (L3)', async () => {
  await using cluster = await startCluster(['a']);
  for (let i = 1; i <= 5; i++) await cluster.api.send('s', { id: `m${i}`, text: 'x' }, { wait: '20s' });
  await untilLeasesSay(cluster, 5);
  await cluster.of('a').stop();
  await cluster.ingress.stop();
  await deleteInbox(cluster);

  const ingress = await spawnCli(cluster, ['ingress']);
  const worker = await spawnCli(cluster, ['worker'], { LANEKEEPER_WORKER_ID: 'a' });
  try {
    const url = await until('the ingress listens', () => /^ready (http:\S+)$/m.exec(ingress.output())?.[1]);
    await until('the worker says what is to be done', () => worker.output().includes('lanekeeper repair inbox'));
    const ready = await (await fetch(`${url}/readyz`)).json();
    expect(ready).toMatchObject({ status: 503, code: 'not-ready', error: { inbox: { status: 'down' } } });
    expect(JSON.stringify(ready)).toMatch(/LK_INBOX.*wanted at least 5.*lanekeeper repair inbox/);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    const send = (id: string, query = ''): Promise<Response> =>
      fetch(`${url}/v1/agents/main/sessions/s/messages${query}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ id, text: 'x' }),
      });
    const refused = await send('m6');
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({
      code: 'inbox-rewound',
      detail: expect.stringMatching(/lanekeeper repair inbox/),
      messageId: 'm6',
    });
    expect(await lastSeq(cluster)).toBe(0);
    expect(worker.output()).not.toMatch(/^ready/m);

    const told = await repair(cluster);
    expect(told).toMatchObject({ code: 1, output: expect.stringMatching(/ends at 0.*set back.*nothing was changed/s) });
    expect(await lastSeq(cluster)).toBe(0);
    const done = await repair(cluster, '--yes');
    expect(done).toMatchObject({ code: 0, output: expect.stringMatching(/LK_INBOX goes on at \d+; ingress/) });

    await until('the ingress is ready', async () => (await fetch(`${url}/readyz`)).status === 200);
    await until('the worker is ready', () => /^ready$/m.test(worker.output()));
    const accepted = await send('m6', '?wait=20s');
    expect([accepted.status, await accepted.json()]).toMatchObject([200, { duplicate: false, status: 'succeeded' }]);
    const again = await repair(cluster, '--yes');
    expect(again).toMatchObject({ code: 0, output: expect.stringMatching(/nothing to repair/) });
  } finally {
    await ingress.stop();
    await worker.stop();
  }
});

it('an inbox that is set back under running roles swallows nothing either: no 202, and the same id is new after the repair', async () => {
  await using agent = await startAgent((_call, response) => answerJson(response, { replies: [{ text: 'done' }] }));
  await using cluster = await startCluster(['a'], { agentUrl: agent.url });
  for (let i = 1; i <= 5; i++) await cluster.api.send('s', { id: `m${i}`, text: 'x' }, { wait: '20s' });
  await untilLeasesSay(cluster, 5);
  // Ingress heard of the leases as they were written; it is not told that the stream is another one.
  await withManager(cluster, async (jsm) => {
    const { config } = await jsm.streams.info('LK_INBOX');
    await jsm.streams.delete('LK_INBOX');
    await jsm.streams.add(config);
  });
  // One session whose cursor is beyond, and one that is new: of the latter only the shard's lease knows.
  for (const session of ['s', 'new']) {
    const refused = await cluster.api.send(session, { id: 'lost', text: 'x' });
    expect(refused).toMatchObject({ status: 503, body: { code: 'inbox-rewound', messageId: 'lost' } });
  }
  expect((await cluster.api.get('/readyz')).status).toBe(503);
  expect(await repair(cluster, '--yes')).toMatchObject({ code: 0 });
  await until('the ingress is ready', async () => (await cluster.api.get('/readyz')).status === 200);
  for (const session of ['s', 'new']) {
    // The worker's readers miss their deleted stream after two heartbeats.
    const sent = await cluster.api.send(session, { id: 'lost', text: 'x' }, { wait: '40s' });
    expect(sent).toMatchObject({ status: 200, body: { duplicate: false, status: 'succeeded' } });
    expect(sent.body.seq).toBeGreaterThan(5);
  }
  expectDecidedOnceInOrder(await cluster.api.decided('s', 6), ['m1', 'm2', 'm3', 'm4', 'm5', 'lost']);
  expect(agent.calls).toHaveLength(7);
});

it('a message that was undecided when the backup was made, and lies in it, is handled after the repair (L3)', async () => {
  let isWilling = false;
  await using agent = await startAgent((call, response) => {
    if (isWilling || call.session !== 'slow') answerJson(response, {});
  });
  await using cluster = await startCluster(['a'], { agentUrl: agent.url });
  const stream = join(cluster.broker.storeDir, 'jetstream/$G/streams/LK_INBOX');
  const backup = join(cluster.folder, 'backup');
  await cluster.api.send('slow', { id: 'waits', text: 'x' });
  await agent.call(1);
  await cluster.broker.stop();
  await cp(stream, backup, { recursive: true });
  await cluster.broker.restart();
  await until('the ingress is ready', async () => (await cluster.api.get('/readyz')).status === 200);
  for (let i = 2; i <= 6; i++) await cluster.api.send('s', { id: `m${i}`, text: 'x' }, { wait: '20s' });
  await untilLeasesSay(cluster, 6);
  await cluster.of('a').killGroup9();
  await cluster.broker.stop();
  await rm(stream, { recursive: true });
  await cp(backup, stream, { recursive: true });
  await cluster.broker.restart();

  await until('the ingress has noticed', async () => {
    const { body } = await cluster.api.send('s', { id: 'm7', text: 'x' });
    return body.code === 'inbox-rewound';
  });
  expect(await lastSeq(cluster)).toBe(1);
  isWilling = true;
  const worker = await spawnCli(cluster, ['worker'], { LANEKEEPER_WORKER_ID: 'a' });
  try {
    await until('the worker says what is to be done', () => worker.output().includes('lanekeeper repair inbox'));
    const done = await repair(cluster, '--yes');
    expect(done).toMatchObject({ code: 0, output: expect.stringMatching(/still needed.*repaired/s) });
    expectDecidedOnceInOrder(await cluster.api.decided('slow', 1), ['waits']);
    await until('the ingress is ready', async () => (await cluster.api.get('/readyz')).status === 200);
    const sent = await cluster.api.send('s', { id: 'm7', text: 'x' }, { wait: '20s' });
    expect(sent).toMatchObject({ status: 200, body: { duplicate: false, status: 'succeeded' } });
    expectDecidedOnceInOrder(await cluster.api.decided('s', 6), ['m2', 'm3', 'm4', 'm5', 'm6', 'm7']);
  } finally {
    await worker.stop();
  }
});

it('`up` on its own broker waits for the repair as well, which finds that broker by itself', async () => {
  await using up = await startUp();
  for (let i = 1; i <= 3; i++) await up.api.send('s', { id: `m${i}`, text: 'x' }, { wait: '20s' });
  await up.service.stop();
  // What a power cut may leave of a stream.
  await rm(join(up.dir.path, 'nats/jetstream/$G/streams/LK_INBOX'), { recursive: true });
  const place = { folder: up.dir.path, env: up.env };
  const again = await spawnCli(place, ['up']);
  try {
    await until('it says what is to be done', () => again.output().includes('lanekeeper repair inbox'));
    expect(again.output()).not.toMatch(/^ready/m);
    expect(await repair(place, '--yes')).toMatchObject({ code: 0 });
    const url = await until('it is ready', () => /^ready (http:\S+)$/m.exec(again.output())?.[1]);
    const sent = await new ApiClient(url).send('s', { id: 'm4', text: 'x' }, { wait: '20s' });
    expect(sent).toMatchObject({ status: 200, body: { status: 'succeeded' } });
  } finally {
    await again.stop();
  }
});

it('a repair without a broker, or on one that is not ours, says what to do and makes nothing', async () => {
  await using dir = await tempDir('repair');
  const nowhere = { folder: dir.path, env: { LANEKEEPER_DATA_DIR: dir.path } };
  expect(await repair(nowhere, '--yes')).toMatchObject({
    code: 1,
    output: expect.stringMatching(/^lanekeeper: nats\.url: found nothing.*LANEKEEPER_NATS_URL/),
  });
  await using broker = await startBroker();
  const other = { folder: dir.path, env: { LANEKEEPER_NATS_URL: broker.url } };
  expect(await repair(other, '--yes')).toMatchObject({
    code: 1,
    output: expect.stringMatching(/^lanekeeper: namespace lk: found no stream LK_INBOX/),
  });
});
