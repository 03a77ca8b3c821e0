import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, startService, until } from '#testing';
import { ApiClient } from '../support/api-client.js';
import { startCluster } from '../support/cluster.js';
import { startHoldingAgent } from '../support/holding-agent.js';
import { answerJson } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

const ENTRY_TTL_MS = 2_000;

it('all processes and the broker are down for longer than messages may wait: all of it is handled (L3)', async () => {
  await using agent = await startHoldingAgent((_call, response) => answerJson(response, {}));
  const { url } = agent;
  const agents = {
    queue: { url, queueEntryTtlMs: ENTRY_TTL_MS },
    // Its window is open when everything goes down.
    collect: { url, strategy: 'collect', debounceMs: 1_500, maxDebounceMs: 1_500, queueEntryTtlMs: ENTRY_TTL_MS },
  };
  await using cluster = await startCluster(['w'], { settings: { agents } });
  const { broker, env, folder } = cluster;
  const of = (name: string) => new ApiClient(cluster.ingress.url ?? '', name);
  await agent.hold(of('queue'), 'queued');
  for (const id of ['a', 'b']) await of('queue').send('queued', { id, text: 'x' });
  for (const id of ['c', 'd']) await of('collect').send('collected', { id, text: 'x' });

  for (const process of [cluster.of('w'), cluster.ingress, broker]) {
    await ('kill9' in process ? process.kill9() : process.killGroup9());
  }
  const downAt = performance.now();
  await until('they have been down for long', () => performance.now() - downAt > 1.5 * ENTRY_TTL_MS);
  await broker.restart();
  await cluster.start('w');
  await using ingress = await startService({ args: ['ingress'], cwd: folder, env });

  await until('what ran runs again', () => agent.calls.filter(({ session }) => session === 'queued').length === 2);
  agent.letGo('queued');
  for (const [name, session, ids] of [
    ['queue', 'queued', ['hold', 'a', 'b']],
    ['collect', 'collected', ['c', 'd']],
  ] as const) {
    const records = await new ApiClient(ingress.url ?? '', name).decided(session, ids.length);
    const decided = records.flatMap(({ messages }) => messages.map(({ id, decision }) => `${id} ${decision}`));
    expect(decided).toEqual(ids.map((id) => `${id} handled`));
  }
});
