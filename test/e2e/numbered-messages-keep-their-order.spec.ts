import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startCluster, type Cluster } from '../support/cluster.js';
import { answerJson, startAgent, type RecordingAgent } from '../support/recording-agent.js';

/** The order of numbered messages (L2), through HTTP: what comes early waits, what is missing is waited for once. */

/** Long enough for a few requests and a restart on a busy machine; nothing below asserts how long it took. */
const GAP_TIMEOUT_MS = 6_000;

let agent: RecordingAgent;
let cluster: Cluster;
let held: ServerResponse | undefined;

beforeAll(async () => {
  agent = await startAgent(({ message }, response) => {
    if (message.text === 'hold' && held === undefined) held = response;
    else answerJson(response, { replies: [`to ${message.id}`] });
  });
  const main = { url: agent.url, strategy: 'fifo', gapTimeoutMs: GAP_TIMEOUT_MS };
  cluster = await startCluster(['w'], { settings: { agents: { main } } });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await agent[Symbol.asyncDispose]();
  await expectNothingLeft();
});

/** What the agent was handed of a session, in order. */
const handled = (session: string) =>
  agent.calls
    .filter((call) => call.session === session)
    .map(({ message }) => `${message.id}${message.late === true ? ' late' : ''}`);

const send = (session: string, sequence: number, more: object = {}) =>
  cluster.api.send(session, { id: `n${sequence}`, text: 'x', sequence, ...more });

describe('numbered messages', () => {
  it('are handled in the order of their numbers, however they came', async () => {
    for (const sequence of [1, 4, 3, 2, 5]) await send('s', sequence);
    await cluster.api.decided('s', 5);
    expect(handled('s')).toEqual(['n1', 'n2', 'n3', 'n4', 'n5']);
  });

  it('wait for a number that is missing, then go on, and the late one runs at once, marked', async () => {
    await send('gap', 1);
    await send('gap', 3);
    await until('it waits', async () => (await cluster.api.message('gap', 'n3')).body.reason === 'sequence-gap');
    expect((await cluster.api.message('gap', 'n3')).body).toMatchObject({
      disposition: 'waiting',
      notBefore: expect.any(Number),
    });
    await cluster.api.decided('gap', 2);
    await send('gap', 2);
    const records = await cluster.api.decided('gap', 3);
    expect(handled('gap')).toEqual(['n1', 'n3', 'n2 late']);
    expect(records.at(-1)?.messages).toMatchObject([{ id: 'n2', decision: 'handled', reason: 'late-sequence' }]);
  });

  it('L2 keep their order over a crash of the worker, in the middle of a turn and of a gap', async () => {
    await send('crash', 1, { text: 'hold' });
    await send('crash', 3);
    await until('the first runs', () => held);
    await cluster.of('w').killGroup9();
    await send('crash', 2);
    await cluster.start('w');
    await cluster.api.decided('crash', 3);
    expect(handled('crash')).toEqual(['n1', 'n1', 'n2', 'n3']);
  });

  it('can be told from those without a number, which do not wait', async () => {
    await send('mixed', 7);
    await cluster.api.send('mixed', { id: 'plain', text: 'x' });
    await cluster.api.decided('mixed', 2);
    expect(handled('mixed')).toEqual(['plain', 'n7']);
  });
});
