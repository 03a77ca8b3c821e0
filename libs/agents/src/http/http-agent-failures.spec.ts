import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { RetryLaterError, TerminalError } from '#contracts';
import { AgentConnections, callHttpAgent } from './http-agent.client.js';
import {
  agent,
  agentOf,
  closeAgents,
  JSON_TYPE,
  makeTurn,
  pour,
  STREAM_TYPE,
  TEXT_TYPE,
  unreachable,
} from './http-agent.fixture.js';

afterEach(closeAgents);

describe('a failure', () => {
  it('L6 in the middle of the body is tried again', async () => {
    for (const type of [JSON_TYPE, STREAM_TYPE]) {
      const { call } = await agent((response) => {
        response.writeHead(200, type);
        response.write('event: delta\ndata: {"text":"a"}\n\n', () => response.socket?.resetAndDestroy());
      });
      const error = await call().catch((caught: unknown) => caught);
      expect(error).toEqual(unreachable);
      expect(error).not.toBeInstanceOf(TerminalError);
    }
  });

  it('L6 before the headers is tried again, by the turn and not beneath it', async () => {
    const { call, requests } = await agent((response) => response.socket?.resetAndDestroy());
    await expect(call()).rejects.toThrow(unreachable);
    expect(requests.length).toBe(1);
  });

  it('L6 to connect is tried again, and says so', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, 'close');
    const connections = new AgentConnections(1);
    const url = `http://127.0.0.1:${port}/SECRET`;
    const error = await callHttpAgent(makeTurn(), { url }, connections).catch((caught: unknown) => caught);
    await connections.close();
    expect(error).toMatchObject({
      code: 'agent_unreachable',
      message: expect.stringMatching(/^(?!.*SECRET).*\(ECONNREFUSED\)/),
    });
  });

  it.each<[number, Record<string, string>, number]>([
    [429, { 'retry-after': '7' }, 7_000],
    [429, {}, 5_000],
    [503, { 'retry-after': '2' }, 2_000],
    [503, {}, 5_000],
  ])('%i with %j asks for later, in %i ms', async (status, headers, retryAfterMs) => {
    const { call } = await agentOf(status, headers, 'busy');
    const error = await call().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RetryLaterError);
    expect(error).toMatchObject({ retryAfterMs });
  });

  it.each<[number, string, boolean]>([
    [400, 'agent_refused', true],
    [404, 'agent_refused', true],
    [500, 'agent_failed', false],
    [502, 'agent_failed', false],
  ])('%i is %s (terminal: %s)', async (status, code, isTerminal) => {
    const { call } = await agentOf(status, JSON_TYPE, '{"replies":["SECRET"]}');
    const error = await call().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code, message: expect.not.stringContaining('SECRET') });
    expect(error instanceof TerminalError).toBe(isTerminal);
  });

  it.each([301, 302, 303, 307, 308])('%i is not followed, and terminal', async (status) => {
    const elsewhere = await agentOf(200, JSON_TYPE, '{"replies":["followed"]}');
    const { call } = await agentOf(status, { location: elsewhere.url });
    await expect(call()).rejects.toThrow(expect.objectContaining({ code: 'agent_redirect' }));
    expect(elsewhere.requests).toEqual([]);
  });

  it('L6 with a refusal that does not end is what its status says all the same', async () => {
    const closed = Promise.withResolvers<void>();
    const { call } = await agent((response) => {
      response.on('close', closed.resolve);
      response.writeHead(429, { ...TEXT_TYPE, 'retry-after': '7' }).write('busy');
    });
    await expect(call()).rejects.toThrow(expect.objectContaining({ code: 'retry_later', retryAfterMs: 7_000 }));
    await closed.promise;
  });

  it('L6 with a refusal of any length does not wait for its end', async () => {
    const { call } = await agent((response) => {
      response.writeHead(500, TEXT_TYPE);
      pour(response, Buffer.alloc(16_384, 'x'));
    });
    await expect(call()).rejects.toThrow(expect.objectContaining({ code: 'agent_failed' }));
  });
});
