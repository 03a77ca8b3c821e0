import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { type LanekeeperError, RetryLaterError, TerminalError } from '#contracts';
import {
  agent,
  agentOf,
  closeAgents,
  JSON_TYPE,
  cutAnswer,
  noAnswer,
  pour,
  STREAM_TYPE,
  TEXT_TYPE,
} from './http-agent.fixture.js';

afterEach(closeAgents);

/** What a cut leaves of a text with more than ASCII. */
const HALF_A_CHARACTER = Buffer.from('{"replies": ["gr\u00fc').subarray(0, -1);

describe('a failure', () => {
  it('L6 in the middle of the body is tried again', async () => {
    for (const type of [JSON_TYPE, STREAM_TYPE]) {
      const { call } = await agent((response) => {
        response.writeHead(200, type);
        response.write('event: delta\ndata: {"text":"a"}\n\n', () => response.socket?.resetAndDestroy());
      });
      const error = await call().catch((caught: unknown) => caught);
      expect(error).toEqual(cutAnswer);
      expect(error).not.toBeInstanceOf(TerminalError);
      expect(error).not.toBeInstanceOf(RetryLaterError);
    }
  });

  it('L6 at the end of a body without length counts as a cut, not as a broken answer', async () => {
    const gzip = 'content-encoding: gzip\r\n';
    for (const [encoding, body] of [
      ['', '{"replies": ["hel'],
      ['', HALF_A_CHARACTER],
      [gzip, gzipSync('{"replies": ["hello"]}').subarray(0, 20)],
    ] as const) {
      const { call } = await agent((response) => {
        response.socket?.write(`HTTP/1.1 200 OK\r\n${encoding}content-type: application/json\r\n\r\n`);
        response.socket?.end(body);
      });
      await expect(call()).rejects.toEqual(cutAnswer);
    }
  });

  it.each<[string, string, Buffer]>([
    ['half a character', '', Buffer.concat([Buffer.from('event: delta\ndata: '), HALF_A_CHARACTER])],
    ['half of what was compressed', 'gzip', gzipSync('event: delta\ndata: {"text":"hello"}\n\n').subarray(0, 30)],
  ])('L6 of a stream is told by `done` alone: %s before it was cut, however well the body ends', async (...given) => {
    const [, encoding, body] = given;
    const { call } = await agentOf(200, { ...STREAM_TYPE, 'content-encoding': encoding }, body);
    await expect(call()).rejects.toEqual(cutAnswer);
  });

  it('L6 before the headers is tried again, by the turn and not by the HTTP client', async () => {
    const { call, requests } = await agent((response) => response.socket?.resetAndDestroy());
    const error = await call().catch((caught: unknown) => caught);
    expect(error).toEqual(noAnswer);
    expect(error).not.toBeInstanceOf(RetryLaterError);
    expect(requests.length).toBe(1);
  });

  it('L6 with an answer that is not HTTP is tried again, and says so', async () => {
    const { call } = await agent((response) => response.socket?.end('-ERR unknown command\r\n'));
    const error = await call().catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: 'agent_no_answer',
      message: expect.stringMatching(/is no HTTP\/1\.1: is its url right/),
      finding: { isUnclear: true },
    });
  });

  it.each<[number, Record<string, string>, number]>([
    [429, { 'retry-after': '7' }, 7_000],
    [429, {}, 0],
    [503, { 'retry-after': '2.5' }, 2_500],
    [503, { 'retry-after': '0' }, 0],
    [529, {}, 0],
    [409, {}, 0],
  ])('%i with %j asks for later, in %i ms', async (status, headers, retryAfterMs) => {
    const { call } = await agentOf(status, headers, 'busy');
    const error = await call().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RetryLaterError);
    expect(error).toMatchObject({ retryAfterMs, finding: { status, excerpt: 'busy' } });
  });

  it("has the agent's text as one bounded, decoded line, separate from the message", async () => {
    const body = gzipSync(`{"error": "no\n\n  model \u0000 grüße ${'x'.repeat(30_000)}`);
    const { call } = await agentOf(500, { ...JSON_TYPE, 'content-encoding': 'gzip' }, body);
    const error = (await call().catch((caught: unknown) => caught)) as LanekeeperError;
    expect(error.message).toBe('the agent answered 500');
    expect(error.finding?.excerpt).toMatch(/^\{"error": "no model grüße x+…$/);
    expect(error.finding?.excerpt?.length).toBe(500);
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

  it('L6 with a refusal that does not end still means what its status says', async () => {
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
