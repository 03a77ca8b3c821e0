import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startCluster } from '../support/cluster.js';
import { answerJson, startAgent, type AgentCall } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

it('user scope: two users of one channel share nothing and do not wait for each other (L5)', async () => {
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const authorOf = ({ messages }: AgentCall): string[] => messages.map(({ author }) => author?.id ?? '');
  await using agent = await startAgent(async (call, response, count) => {
    if (count === 1) await opened;
    const said = [...((call.state as string[] | null) ?? []), ...call.messages.map(({ text = '' }) => text)];
    answerJson(response, { replies: [said.join(' ')], state: said });
  });
  const settings = { agents: { main: { lockScope: 'user' } } };
  await using cluster = await startCluster(['a'], { agentUrl: agent.url, settings });
  const { api } = cluster;
  const channel = 'slack:C1';
  const say = (id: string, text: string, thread?: string) =>
    api.sendByPlace({ channel, text, author: { id }, ...(thread === undefined ? {} : { thread }) }, { wait: '30s' });
  const firstOfAnn = say('ann', 'a1', 'slack:C1:1');
  await agent.call(1);
  const firstOfBob = await say('bob', 'b1', 'slack:C1:1');
  expect(firstOfBob.body).toMatchObject({ session: 'slack:user:bob', replies: [{ text: 'b1' }] });
  expect(await api.session('slack:user:ann')).toMatchObject({ state: 'running' });
  open();
  expect((await firstOfAnn).body).toMatchObject({ session: 'slack:user:ann', replies: [{ text: 'a1' }] });
  // In another thread a user is still the same one.
  expect((await say('ann', 'a2', 'slack:C1:2')).body).toMatchObject({ replies: [{ text: 'a1 a2' }] });
  expect((await say('bob', 'b2')).body).toMatchObject({ replies: [{ text: 'b1 b2' }] });
  for (const call of agent.calls) expect([call.session]).toEqual(authorOf(call).map((id) => `slack:user:${id}`));
  const nobody = await api.sendByPlace({ channel, text: 'x' });
  expect(nobody).toMatchObject({ status: 422, body: { errors: [{ field: 'author.id' }] } });
});

it('what the settings say comes over the platform: an agent whose scope is the channel, but not on Telegram', async () => {
  const settings = { agents: { main: { lockScope: 'channel' } }, channels: { telegram: { lockScope: 'thread' } } };
  await using cluster = await startCluster(['a'], { settings });
  const { api } = cluster;
  const sessionOf = async (channel: string): Promise<string> =>
    (await api.sendByPlace({ channel, thread: '42', text: 'x' })).body.session;
  expect(await sessionOf('slack:C1')).toBe('slack:C1');
  expect(await sessionOf('telegram:-100')).toBe('telegram:-100:42');
  await until('both are answered', async () => {
    const states = await Promise.all(['slack:C1', 'telegram:-100:42'].map((session) => api.turns(session)));
    return states.every(({ length }) => length === 1);
  });
});
