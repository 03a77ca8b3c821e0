import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startCluster, type Cluster } from '../support/cluster.js';
import { expectDecidedOnceInOrder } from '../support/history-check.js';
import { answerJson, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

/** The shortest that is allowed: what is decided goes after a second. */
const SHORT = { inbox: { keepMs: 1_000 }, dedup: { windowMs: 1_000 } };

async function withInbox<T>(cluster: Cluster, fn: (inbox: Inbox) => Promise<T>): Promise<T> {
  const nc = await connect({ servers: cluster.broker.url });
  try {
    return await fn(new Inbox(await jetstreamManager(nc)));
  } finally {
    await nc.close();
  }
}

class Inbox {
  constructor(private readonly jsm: JetStreamManager) {}

  async ends(): Promise<{ first: number; last: number }> {
    const { state } = await this.jsm.streams.info('LK_INBOX');
    return { first: state.first_seq, last: state.last_seq };
  }

  async untilTrimmedTo(seq: number): Promise<void> {
    await until(`LK_INBOX begins at ${seq}`, async () => (await this.ends()).first === seq);
  }
}

it('what is decided and old enough leaves the inbox; what waits does not, and nothing behind it either (L3)', async () => {
  const waiting: (() => void)[] = [];
  await using agent = await startAgent((call, response) => {
    if (call.message.id === 'slow') waiting.push(() => answerJson(response, {}));
    else answerJson(response, {});
  });
  await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings: SHORT });
  await withInbox(cluster, async (inbox) => {
    const send = async (session: string, id: string): Promise<number> =>
      (await cluster.api.send(session, { id, text: id })).body.seq;
    for (let i = 0; i < 5; i++) await send(`s${i}`, 'before');
    const slow = await send('slow', 'slow');
    await agent.call(6);
    for (let i = 0; i < 10; i++) await send(`s${i}`, 'after');
    await inbox.untilTrimmedTo(slow);
    // The next look comes a second later: it finds nothing more to take, as long as the slow one runs.
    expect(await cluster.api.message('slow', 'slow')).toMatchObject({ body: { disposition: 'running', seq: slow } });
    waiting.shift()?.();
    await cluster.api.decided('slow', 1);
    const { last } = await inbox.ends();
    // The last message stays.
    await inbox.untilTrimmedTo(last);
    for (let i = 0; i < 10; i++) {
      const ids = i < 5 ? ['before', 'after'] : ['after'];
      expectDecidedOnceInOrder(await cluster.api.decided(`s${i}`, ids.length), ids);
      expect((await cluster.api.message(`s${i}`, 'after')).body).toMatchObject({ decision: 'handled' });
    }
  });
});

it('a trimmed inbox is no reason to do anything twice, nor to forget where it was: after a restart all goes on', async () => {
  await using cluster = await startCluster(['a'], { settings: SHORT });
  await withInbox(cluster, async (inbox) => {
    for (let i = 0; i < 20; i++) await cluster.api.send('s', { id: `m${i}`, text: 'x' }, { wait: '20s' });
    await inbox.untilTrimmedTo(20);
    await cluster.of('a').killGroup9();
    await cluster.broker.restart();
    await cluster.start('a');
    await until('the ingress is ready', async () => (await cluster.api.get('/readyz')).status === 200);
    const after = await cluster.api.send('s', { id: 'after', text: 'x' }, { wait: '20s' });
    expect(after.body).toMatchObject({ seq: 21, status: 'succeeded' });
    const ids = [...Array.from({ length: 20 }, (_, i) => `m${i}`), 'after'];
    const records = await cluster.api.decided('s', 21);
    expectDecidedOnceInOrder(records, ids);
    expect(records.filter(({ kind, attempt }) => kind === 'turn' && attempt !== 1)).toEqual([]);
  });
});

it('what lies outside of every shard goes as well', async () => {
  await using cluster = await startCluster(['a'], { settings: SHORT });
  const nc = await connect({ servers: cluster.broker.url });
  for (let i = 0; i < 5; i++) await nc.request('lk.in.main.*', 'rubbish');
  await nc.close();
  await cluster.api.send('s', { id: 'm', text: 'x' }, { wait: '20s' });
  await withInbox(cluster, (inbox) => inbox.untilTrimmedTo(6));
});
