import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startCluster, type Cluster } from '../support/cluster.js';
import { expectDecidedOnceInOrder, expectSerial } from '../support/history-check.js';
import { answerJson, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

const SESSIONS = Array.from({ length: 60 }, (_, i) => `chat-${i}`);

/** Sends to every session, one message after another, until it is told to stop. */
class Senders {
  private isOver = false;
  private readonly sent = new Map<string, string[]>();
  private readonly all: Promise<unknown>;

  constructor(private readonly cluster: Cluster) {
    this.all = Promise.all(SESSIONS.map((session) => this.send(session)));
  }

  async stop(): Promise<ReadonlyMap<string, readonly string[]>> {
    this.isOver = true;
    await this.all;
    return this.sent;
  }

  get count(): number {
    return [...this.sent.values()].reduce((sum, ids) => sum + ids.length, 0);
  }

  private async send(session: string): Promise<void> {
    const ids: string[] = [];
    this.sent.set(session, ids);
    for (let i = 0; !this.isOver; i++) {
      const answer = await this.cluster.api.send(session, { id: `m${i}`, text: `m${i}` });
      expect(answer.status).toBe(202);
      ids.push(`m${i}`);
    }
  }
}

it('1 to 4 to 1 workers under load: nothing lost, doubled or reordered, and no turn is run twice (L1, L2, L3, L7)', async () => {
  let endLong = (): void => {};
  await using agent = await startAgent((call, response) => {
    if (call.message.id === 'long') endLong = () => answerJson(response, {});
    else setTimeout(() => answerJson(response, {}), 20);
  });
  await using cluster = await startCluster(['a'], {
    agentUrl: agent.url,
    settings: { agents: { defaults: { maxQueueSize: 'unlimited' } } },
  });
  const senders = new Senders(cluster);
  for (const worker of ['b', 'c', 'd']) await cluster.start(worker);
  await cluster.balanced('a', 'b', 'c', 'd');
  // A turn that outlives the worker's share, and ends within its drain budget.
  const session = await cluster.sessionOf('d');
  await cluster.api.send(session, { id: 'long', text: 'long' });
  await until('the long turn runs', async () => (await cluster.api.session(session)).state === 'running');
  for (const worker of ['d', 'c', 'b']) {
    cluster.of(worker).signal('SIGTERM');
    await until(`${worker} has no shards`, async () =>
      (await cluster.listed()).every((listed) => listed.worker !== worker || listed.shards === 0),
    );
  }
  await cluster.balanced('a');
  expect((await cluster.api.session(session)).state).toBe('held');
  endLong();
  for (const worker of ['d', 'c', 'b']) expect(await cluster.of(worker).exited).toEqual({ code: 0, signal: null });
  const sent = await senders.stop();

  const histories = new Map<string, Awaited<ReturnType<typeof cluster.api.decided>>>();
  for (const [each, ids] of sent) histories.set(each, await cluster.api.decided(each, ids.length));
  const workers = new Set<string>();
  for (const [each, ids] of sent) {
    const records = histories.get(each) ?? [];
    expectDecidedOnceInOrder(records, ids);
    expectSerial(records);
    for (const { worker, attempt, status } of records) {
      workers.add(worker.replace(/\/.*/, ''));
      expect([attempt, status]).toEqual([1, 'succeeded']);
    }
  }
  expect(workers).toEqual(new Set(['a', 'b', 'c', 'd']));
  const [long] = await cluster.api.decided(session, 1);
  expect(long).toMatchObject({ attempt: 1, status: 'succeeded', messages: [{ id: 'long' }] });
  expect(long?.worker).toMatch(/^d\//);
  // The agent was called once for each batch: no turn ran at two workers.
  const runs = agent.calls.map(({ runId }) => runId);
  expect(new Set(runs).size).toBe(runs.length);
  expect(senders.count).toBeGreaterThan(500);
});
