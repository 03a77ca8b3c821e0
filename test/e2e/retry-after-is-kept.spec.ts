import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectNothingLeft } from '#testing';
import { requestJson } from '../support/api-client.js';
import { startUp, type RunningUp } from '../support/lanekeeper-up.js';
import { answerJson, startAgent, type AgentCall, type RecordingAgent } from '../support/recording-agent.js';
import { settingsFile, type SettingsFile } from '../support/settings-file.js';

/** The time that an agent asks for, by the status that it answers: each row has a session of its own at one `up`. */

let agent: RecordingAgent;
let settings: SettingsFile;
let up: RunningUp;

beforeAll(async () => {
  agent = await startAgent((call, response) => {
    const [kind, status = '', retryAfter = '1'] = call.session.split(' ');
    if (kind === 'later' && callsOf(call.session).length > 1) return answerJson(response, {});
    response.writeHead(Number(status), { 'retry-after': retryAfter });
    response.end('SECRET');
  });
  const { url } = agent;
  const agents = { main: { url, maxAttempts: 1 }, patient: { url, maxAttempts: 2, backoffInitialMs: 10 } };
  settings = await settingsFile({ agents });
  up = await startUp(settings.env);
});
afterAll(async () => {
  await up[Symbol.asyncDispose]();
  await settings[Symbol.asyncDispose]();
  await agent[Symbol.asyncDispose]();
  await expectNothingLeft();
});

const callsOf = (session: string): AgentCall[] => agent.calls.filter((call) => call.session === session);

it.each<[number, string, number]>([
  [529, '1', 1_000],
  [503, '1.5', 1_500],
  [409, '1', 1_000],
  [425, '1', 1_000],
  [413, '1', 1_000],
])('%i with Retry-After: %s waits for %i ms, and costs no attempt', async (status, retryAfter, leastMs) => {
  const session = `later ${status} ${retryAfter}`;
  await up.api.send(session, { id: 'm1', text: 'x' });
  const records = await up.api.decided(session, 1, 60_000);
  expect(records.at(-1)).toMatchObject({ attempt: 1, status: 'succeeded' });
  const [first = 0, second = 0] = callsOf(session).map(({ at }) => at);
  expect(second - first).toBeGreaterThanOrEqual(leastMs);
});

it.each([500, 502, 408])(
  '%i with Retry-After: 1 is an attempt, and the next one does not come sooner',
  async (status) => {
    const session = `attempt ${status}`;
    const path = `/v1/agents/patient/sessions/${encodeURIComponent(session)}/messages?wait=20s`;
    const { body } = await requestJson(`${up.api.url}${path}`, { id: 'm1', text: 'x' });
    expect(body).toMatchObject({ status: 'failed', decision: 'dead', error: { name: 'agent_failed' } });
    expect(body.error.message).toBe(`the agent answered ${status}`);
    expect(callsOf(session).map(({ attempt }) => attempt)).toEqual([1, 2]);
    const [first = 0, second = 0] = callsOf(session).map(({ at }) => at);
    expect(second - first).toBeGreaterThanOrEqual(1_000);
  },
);
