import { afterEach, describe, expect, it } from 'vitest';
import { expectNothingLeft } from '#testing';
import { startCluster, type Cluster } from '../support/cluster.js';
import { startHoldingAgent, type HoldingAgent } from '../support/holding-agent.js';
import { answerJson, answerStatus } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

const IDS = ['m1', 'm2', 'm3', 'm4', 'm5'];

/** Five messages that come while a turn runs: one batch, when that ends. */
async function sendBehindTurn({ api }: Cluster, agent: HoldingAgent, textOf: (id: string) => string): Promise<void> {
  await agent.hold(api, 's');
  for (const id of IDS) await api.send('s', { id, text: textOf(id) });
  agent.letGo('s');
}

/** Decisions by message, without that of the turn before. */
async function decisionsOf({ api }: Cluster): Promise<Record<string, string>> {
  const records = await api.decided('s', IDS.length + 1);
  const all = records.flatMap(({ messages }) => messages.map(({ id, decision }) => [id, decision] as const));
  return Object.fromEntries(all.filter(([id]) => id !== 'hold'));
}

const allHandled = (): Record<string, string> => Object.fromEntries(IDS.map((id) => [id, 'handled']));
const batchesOf = ({ calls }: HoldingAgent): string[][] =>
  calls.map(({ messages }) => messages.map(({ id }) => id)).filter(([first]) => first !== 'hold');

describe('five messages behind a turn', () => {
  it('of 12 kB each for an agent that takes 100 kB (413): all are handled, in order, as runs of their own (L2 L7)', async () => {
    await using agent = await startHoldingAgent(({ raw }, response) =>
      Buffer.byteLength(raw) > 100_000 ? answerStatus(response, 413) : answerJson(response, { replies: ['ok'] }),
    );
    await using cluster = await startCluster(['a'], { agentUrl: agent.url });
    await sendBehindTurn(cluster, agent, (id) => id.padEnd(12_000, '.'));
    expect(await decisionsOf(cluster)).toEqual(allHandled());
    const [whole, ...parts] = batchesOf(agent);
    expect(whole).toEqual(IDS);
    expect(parts.flat()).toEqual(IDS);
    const runs = agent.calls.map(({ runId }) => runId);
    expect(new Set(runs).size).toBe(runs.length);
    expect(agent.calls.map(({ attempt }) => attempt)).toEqual(runs.map(() => 1));
    expect((await cluster.api.get('/v1/dead')).body.dead).toEqual([]);
  });

  it('of which one is refused (400): only that one is dead, with its content, and the others are handled in order', async () => {
    await using agent = await startHoldingAgent(({ raw }, response) =>
      raw.includes('poison') ? answerStatus(response, 400) : answerJson(response, { replies: ['ok'] }),
    );
    await using cluster = await startCluster(['a'], { agentUrl: agent.url });
    await sendBehindTurn(cluster, agent, (id) => (id === 'm4' ? 'poison' : id));
    expect(await decisionsOf(cluster)).toEqual({ ...allHandled(), m4: 'dead' });
    const handled = batchesOf(agent).filter((batch) => !batch.includes('m4'));
    expect(handled.flat()).toEqual(['m1', 'm2', 'm3', 'm5']);
    const { body } = await cluster.api.get('/v1/dead');
    expect(body.dead).toMatchObject([{ messageId: 'm4', error: { name: 'agent_refused' } }]);
  });

  it('are two turns where maxTurnMessages is three, and one each where maxTurnBytes is less than two', async () => {
    await using agent = await startHoldingAgent((_call, response) => answerJson(response, {}));
    const settings = { agents: { main: { maxTurnMessages: 3 } }, channels: { sms: { maxTurnBytes: 100 } } };
    await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings });
    await sendBehindTurn(cluster, agent, (id) => id);
    expect(await decisionsOf(cluster)).toEqual(allHandled());
    expect(batchesOf(agent)).toEqual([IDS.slice(0, 3), IDS.slice(3)]);
    await agent.hold(cluster.api, 't');
    for (const id of IDS) await cluster.api.send('t', { id, text: id, channel: 'sms:1' });
    agent.letGo('t');
    await cluster.api.decided('t', IDS.length + 1);
    expect(batchesOf(agent).slice(2)).toEqual(IDS.map((id) => [id]));
  });

  it('of which the agent names one as failed: that one is dead with its error, the others are handled, and its replies count', async () => {
    const failed = { id: 'm2', decision: 'failed', error: { name: 'no_such_order', message: 'order 7 is unknown' } };
    await using agent = await startHoldingAgent((call, response) => {
      if (call.session === 's') return answerJson(response, { replies: ['four done'], state: 4, messages: [failed] });
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(
        `event: done\ndata: ${JSON.stringify({ messages: [{ id: 'x', decision: 'failed', error: 'no' }] })}\n\n`,
      );
    });
    await using cluster = await startCluster(['a'], { agentUrl: agent.url });
    await sendBehindTurn(cluster, agent, (id) => id);
    expect(await decisionsOf(cluster)).toEqual({ ...allHandled(), m2: 'dead' });
    const [turn] = await cluster.api.turns('s');
    expect(turn).toMatchObject({ status: 'succeeded', sends: [{ text: 'four done' }], state: 4 });
    const { body } = await cluster.api.get('/v1/dead');
    expect(body.dead).toMatchObject([{ messageId: 'm2', error: failed.error }]);
    expect(batchesOf(agent)).toEqual([IDS]);
    // The same in the last event of a stream, for a message alone: its turn has failed.
    const answer = await cluster.api.send('t', { id: 'x', text: 'x' }, { wait: '20s' });
    const error = { name: 'message_failed', message: 'no' };
    expect(answer.body).toMatchObject({ decision: 'dead', status: 'failed', reason: 'message_failed', error });
  });
});
