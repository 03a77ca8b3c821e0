import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import {
  expectNothingLeft,
  startBroker,
  startBrokerCluster,
  startService,
  tempDir,
  until,
  type ServiceProcess,
} from '#testing';
import { ApiClient } from '../support/api-client.js';
import { startUp } from '../support/lanekeeper-up.js';
import { answerJson, answerStatus, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

interface Ingresses extends AsyncDisposable {
  readonly apis: readonly ApiClient[];
}

/** An ingress process per broker URL, and no worker. */
async function startIngresses(natsUrls: readonly string[], settings = ''): Promise<Ingresses> {
  const dir = await tempDir('numbers');
  await writeFile(join(dir.path, 'lanekeeper.yaml'), `http: {port: 0}\nlog: {level: error}\n${settings}`);
  const started: ServiceProcess[] = [];
  const start = async (natsUrl: string): Promise<ApiClient> => {
    const service = await startService({ args: ['ingress'], cwd: dir.path, env: { LANEKEEPER_NATS_URL: natsUrl } });
    started.push(service);
    return new ApiClient(service.url ?? '');
  };
  const dispose = async (): Promise<void> => {
    await Promise.all(started.map((service) => service.stop()));
    await dir.remove();
  };
  try {
    return { apis: await Promise.all(natsUrls.map(start)), [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

const numbered = (id: string, sequence: number, more: object = {}) => ({ id, text: id, sequence, ...more });
const used = (sequence: number, usedBy: string) => ({
  status: 422,
  body: {
    ...{ code: 'sequence-used', usedBy },
    errors: [expect.objectContaining({ field: 'sequence', found: expect.stringMatching(`^${sequence}, .*${usedBy}`) })],
  },
});

it('a number belongs to the first message that used it, over all ingress processes and while no worker runs', async () => {
  await using broker = await startBroker();
  await using ingresses = await startIngresses([broker.url, broker.url]);
  const [one, other] = ingresses.apis as [ApiClient, ApiClient];
  const first = await one.send('s', numbered('a', 0));
  expect(first).toMatchObject({ status: 202, body: { duplicate: false } });
  expect(await other.send('s', numbered('b', 0))).toMatchObject(used(0, 'a'));
  expect(await other.send('s', numbered('a', 0))).toMatchObject({ body: { seq: first.body.seq, duplicate: true } });
  expect((await one.session('s')).depth).toBe(1);

  // Numbers count per session of an agent.
  expect(await one.send('t', numbered('b', 0))).toMatchObject({ status: 202 });
  expect(await new ApiClient(other.url, 'echo').send('s', numbered('b', 0))).toMatchObject({ status: 202 });
  const last = numbered('z', Number.MAX_SAFE_INTEGER);
  expect(await one.send('s', last)).toMatchObject({ status: 202 });
  expect(await other.send('s', { ...last, id: 'y' })).toMatchObject(used(Number.MAX_SAFE_INTEGER, 'z'));

  // The other route leads to the same session, and to the same numbers.
  const place = { channel: 'slack:C1' };
  expect(await one.sendByPlace({ ...numbered('p', 1), ...place })).toMatchObject({ body: { session: 'slack:C1' } });
  expect(await other.sendByPlace({ ...numbered('q', 1), ...place })).toMatchObject(used(1, 'p'));
  expect(await other.send('slack:C1', numbered('q', 1))).toMatchObject(used(1, 'p'));

  // Without an id each request is a message of its own, so its repetition is another one.
  const made = await one.send('u', { text: 'x', sequence: 1 });
  expect(await other.send('u', { text: 'x', sequence: 1 })).toMatchObject(used(1, made.body.messageId));
  const repeated = await other.send('u', { id: made.body.messageId, text: 'x', sequence: 1 });
  expect(repeated).toMatchObject({ status: 202, body: { seq: made.body.seq, duplicate: true } });
});

it('of fifty requests at once that want one number one message gets it, and its own repetitions are told so', async () => {
  await using broker = await startBroker();
  await using ingresses = await startIngresses([broker.url, broker.url]);
  const [one, other] = ingresses.apis as [ApiClient, ApiClient];
  const atOnce = (session: string, ids: readonly string[]) =>
    Promise.all(ids.map((id, i) => (i % 2 === 0 ? one : other).send(session, numbered(id, 1))));

  const many = await atOnce(
    's',
    Array.from({ length: 50 }, (_, i) => `m${i}`),
  );
  const winners = many.filter(({ status }) => status === 202);
  expect(winners).toHaveLength(1);
  const others = many.filter(({ body }) => body.code === 'sequence-used');
  expect([others.length, new Set(others.map(({ body }) => body.usedBy))]).toEqual([
    49,
    new Set([winners[0]?.body.messageId]),
  ]);

  const same = await atOnce('t', Array(50).fill('m'));
  expect(same.map(({ status }) => status)).toEqual(Array(50).fill(202));
  expect(same.filter(({ body }) => !body.duplicate)).toHaveLength(1);
  const depths = await Promise.all(['s', 't'].map(async (session) => (await one.session(session)).depth));
  expect(depths).toEqual([1, 1]);
});

it('a message that is refused for another reason leaves its number to the next one', async () => {
  await using broker = await startBroker();
  await using ingresses = await startIngresses([broker.url]);
  const [api] = ingresses.apis as [ApiClient];
  await api.send('s', numbered('a', 0));
  expect(await api.send('s', numbered('a', 1))).toMatchObject({ status: 422, body: { code: 'idempotency-mismatch' } });
  const tooLarge = numbered('b', 1, { data: 'x'.repeat(800 * 1024) });
  expect(await api.send('s', tooLarge)).toMatchObject({ status: 413 });
  expect(await api.send('s', numbered('c', 1))).toMatchObject({ status: 202, body: { duplicate: false } });
  expect(await api.send('s', numbered('b', 1))).toMatchObject(used(1, 'c'));
});

it('a number is free again after the window in which ids are known', async () => {
  await using broker = await startBroker();
  await using ingresses = await startIngresses([broker.url], 'dedup: {windowMs: 1000}\n');
  const [api] = ingresses.apis as [ApiClient];
  expect(await api.send('s', numbered('a', 7))).toMatchObject({ status: 202 });
  expect(await api.send('s', numbered('b', 7))).toMatchObject(used(7, 'a'));
  const later = await until('the number is free', async () => {
    const answer = await api.send('s', numbered('b', 7));
    return answer.status === 422 ? undefined : answer;
  });
  expect(later).toMatchObject({ status: 202, body: { duplicate: false } });
});

it('broker away: 503 that names the id; it is stored under its number when it comes again', async () => {
  await using broker = await startBroker();
  await using ingresses = await startIngresses([broker.url]);
  const [api] = ingresses.apis as [ApiClient];
  await broker.stop();
  await until('the ingress knows', async () => (await api.get('/readyz')).status === 503);
  const refused = await api.send('s', numbered('a', 0));
  expect(refused).toMatchObject({ status: 503, body: { code: 'broker-unavailable', messageId: 'a' } });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  await broker.restart();
  await until('the ingress is ready', async () => (await api.get('/readyz')).status === 200);
  expect(await api.send('s', numbered('a', 0))).toMatchObject({ status: 202, body: { duplicate: false } });
  expect(await api.send('s', numbered('b', 0))).toMatchObject(used(0, 'a'));
});

it('a dead message keeps its number, and goes again under both', async () => {
  let isWilling = false;
  await using agent = await startAgent((_call, response) =>
    isWilling ? answerJson(response, { replies: [{ text: 'done' }] }) : answerStatus(response, 400),
  );
  await using up = await startUp({ LANEKEEPER_AGENT_URL: agent.url });
  const first = await up.api.send('s', numbered('a', 0), { wait: '20s' });
  expect(first.body).toMatchObject({ decision: 'dead' });
  expect(await up.api.send('s', numbered('b', 0))).toMatchObject(used(0, 'a'));
  isWilling = true;
  const again = await up.api.send('s', numbered('a', 0), { wait: '20s' });
  expect(again.body).toMatchObject({ decision: 'handled', duplicate: false });
  expect(again.body.seq).toBeGreaterThan(first.body.seq);
});

it('with three replicas, whichever node answers', async () => {
  await using cluster = await startBrokerCluster(3, { syncsEveryWrite: false });
  const urls = cluster.nodes.map(({ url }) => url);
  await using ingresses = await startIngresses(urls, 'nats: {replicas: 3}\n');
  const { apis } = ingresses;
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(apis.map((api, i) => api.send('s', numbered(`${round}-${i}`, round))));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([202, 422, 422]);
    // Just stored, so that replicas are behind: asked at once, everywhere, for the same and for another one.
    const [winner] = answers.filter(({ status }) => status === 202);
    if (winner === undefined) throw new Error('one of them was stored');
    const { messageId, seq } = winner.body as { messageId: string; seq: number };
    const [same, other] = await Promise.all([
      Promise.all(apis.map((api) => api.send('s', numbered(messageId, round)))),
      Promise.all(apis.map((api) => api.send('s', numbered(`other-${round}`, round)))),
    ]);
    for (const answer of same) expect(answer).toMatchObject({ status: 202, body: { seq, duplicate: true } });
    for (const answer of other) expect(answer).toMatchObject(used(round, messageId));
  }
});
