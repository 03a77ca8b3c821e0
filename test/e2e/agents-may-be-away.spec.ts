import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { startUp, type RunningUp } from '../support/lanekeeper-up.js';
import { answerJson, answerStatus, startAgent, type AgentCall } from '../support/recording-agent.js';
import { settingsFile } from '../support/settings-file.js';

/** What agents over HTTP say of a turn that they do not take now, and what becomes of it: see docs/agents-over-http.md. */

afterEach(expectNothingLeft);

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `s${i}`);

async function sendToAll(up: RunningUp, sessions: readonly string[]): Promise<void> {
  await Promise.all(sessions.map((session) => up.api.send(session, { id: 'm1', text: 'x' })));
}

async function succeeded(up: RunningUp, sessions: readonly string[]): Promise<void> {
  for (const session of sessions) {
    const records = await up.api.decided(session, 1, 60_000);
    expect(records.at(-1)).toMatchObject({ attempt: 1, status: 'succeeded' });
  }
}

/** By session, the times of its calls. */
function timesOf(calls: readonly AgentCall[]): Map<string, number[]> {
  const times = new Map<string, number[]>();
  for (const { session, at } of calls) times.set(session, [...(times.get(session) ?? []), at]);
  return times;
}

it('an agent that is being deployed loses no message, and costs none of them an attempt (L3)', async () => {
  const reserved = createServer().listen(0, '127.0.0.1');
  await once(reserved, 'listening');
  const { port } = reserved.address() as AddressInfo;
  reserved.close();
  await once(reserved, 'close');
  const limits = { url: `http://127.0.0.1:${port}/turn`, maxAttempts: 1, backoffInitialMs: 50, backoffMaxMs: 400 };
  await using settings = await settingsFile({ agents: { main: limits } });
  await using up = await startUp(settings.env);
  const sessions = names(5);
  await sendToAll(up, sessions);
  const seen = new Set<number>();
  await until('it was put off four times', async () => {
    const { retry } = await up.api.session('s0');
    if (retry === undefined) return undefined;
    expect(retry).toMatchObject({ attempt: 1 });
    seen.add(retry.notBefore);
    return seen.size >= 4 ? true : undefined;
  });
  const server = createServer((request, response) => {
    request.resume().on('end', () => answerJson(response, { replies: ['back'] }));
  }).listen(port, '127.0.0.1');
  try {
    await succeeded(up, sessions);
  } finally {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
});

it('ten sessions that are told "at once" by a 503 call a few dozen times in six seconds, not hundreds', async () => {
  let openAt = Number.POSITIVE_INFINITY;
  await using agent = await startAgent((call, response) => {
    openAt = Math.min(openAt, call.at + 6_000);
    if (call.at >= openAt) return answerJson(response, { replies: ['now'] });
    // Both say as much as nothing: a time that is over, and none.
    const retryAfter = call.session === 's0' ? 'Mon, 05 Jan 2026 12:00:00 GMT' : '0';
    return answerStatus(response, 503, { 'retry-after': retryAfter });
  });
  await using settings = await settingsFile({ agents: { main: { url: agent.url } } });
  await using up = await startUp(settings.env);
  const sessions = names(10);
  await sendToAll(up, sessions);
  await succeeded(up, sessions);
  const early = agent.calls.filter(({ at }) => at < openAt);
  // Each session: at once, after 1 to 1.5 s, and after about as long again as it has waited so far.
  expect(early.length).toBeGreaterThanOrEqual(20);
  expect(early.length).toBeLessThanOrEqual(50);
  for (const times of timesOf(agent.calls).values()) {
    const waits = times.slice(1).map((at, i) => at - (times[i] ?? 0));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(1_000);
    expect(waits.at(-1)).toBeGreaterThan(waits[0] ?? 0);
  }
});

it('forty sessions that are told two seconds come back no sooner, and spread over a second', async () => {
  await using agent = await startAgent((call, response) => {
    const isFirst = agent.calls.filter(({ session }) => session === call.session).length === 1;
    return isFirst ? answerStatus(response, 429, { 'retry-after': '2' }) : answerJson(response, { replies: ['now'] });
  });
  await using settings = await settingsFile({ agents: { main: { url: agent.url } } });
  await using up = await startUp(settings.env);
  const sessions = names(40);
  await sendToAll(up, sessions);
  await succeeded(up, sessions);
  const waits = [...timesOf(agent.calls).values()].map(([first = 0, second = 0]) => second - first);
  expect(waits.length).toBe(40);
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(2_000);
  // Of a spread of 1 s the widest of forty is hardly ever less than 0.8 s.
  expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(500);
});
