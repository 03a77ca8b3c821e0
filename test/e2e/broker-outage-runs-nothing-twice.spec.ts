import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startCluster, TTL_MS } from '../support/cluster.js';
import { answerJson, startAgent } from '../support/recording-agent.js';

afterEach(expectNothingLeft);

const SESSIONS = Array.from({ length: 24 }, (_, i) => `long-${i}`);

it('a broker that is away for three times to live: no turn that still runs is run twice, whichever process comes back first (L1, L3, L4)', async () => {
  const answers = new Map<string, () => void>();
  await using agent = await startAgent((call, response) => {
    if (call.message.text === 'long') answers.set(call.session, () => answerJson(response, { replies: ['done'] }));
    else answerJson(response, {});
  });
  await using cluster = await startCluster(['a', 'b', 'c'], { agentUrl: agent.url });
  const { api, broker } = cluster;
  const incarnations = new Set((await cluster.listed()).map(({ incarnation }) => incarnation));
  await Promise.all(SESSIONS.map((session) => api.send(session, { id: 'm1', text: 'long' })));
  await until('all turns run', () => answers.size === SESSIONS.length);
  // Behind each of them something waits, so that every session is pending in the outage.
  await Promise.all(SESSIONS.map((session) => api.send(session, { id: 'm2', text: 'short' })));

  const stoppedAt = performance.now();
  await broker.kill9();
  // A third ends while the broker is away, a third in the moment of its return, and a third long after.
  const third = (part: number): string[] => SESSIONS.filter((_, i) => i % 3 === part);
  for (const session of third(0)) answers.get(session)?.();
  await until('three times to live have passed', () => performance.now() - stoppedAt > 3 * TTL_MS);
  for (const session of third(1)) answers.get(session)?.();
  await broker.restart();
  await cluster.balanced('a', 'b', 'c');
  const backAt = performance.now();
  // Long enough for any of them to take another for dead, wrongly.
  await until('one more time to live has passed', () => performance.now() - backAt > 1.5 * TTL_MS);
  for (const session of third(2)) answers.get(session)?.();

  for (const session of SESSIONS) {
    const turns = (await api.decided(session, 2)).filter(({ kind }) => kind === 'turn');
    expect(turns.map(({ attempt, messages }) => [attempt, messages.map(({ id }) => id)])).toEqual([
      [1, ['m1']],
      [1, ['m2']],
    ]);
  }
  expect(agent.calls.filter(({ message }) => message.text === 'long')).toHaveLength(SESSIONS.length);
  expect(agent.calls).toHaveLength(2 * SESSIONS.length);
  expect(new Set((await cluster.listed()).map(({ incarnation }) => incarnation))).toEqual(incarnations);
});
