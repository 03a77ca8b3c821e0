import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { JsonText, jsonText } from '#contracts';
import { Turn, type TurnStart } from '../turn.js';
import { makeAgentRequest } from './agent-request.js';

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

function makeTurn(more: Partial<TurnStart> = {}): Turn {
  return new Turn({
    runId: 'main.telegram=3A42.7.abc',
    attempt: 2,
    agentToken: 'main',
    sessionToken: 'telegram=3A42',
    messages: [
      { id: 'm7', seq: 7, text: 'grüße 🙂', author: { id: 'u' }, channel: 'c', thread: 't' },
      { id: 'm9', seq: 9, data: { a: [1] }, sentAt: '2026-01-05T12:00:00Z' },
    ],
    state: jsonText({ n: 1 }),
    deadline: Date.UTC(2026, 0, 5, 12, 0, 0),
    signal: new AbortController().signal,
    trace: undefined,
    ...more,
  });
}

describe('makeAgentRequest', () => {
  it('has all data of the turn', () => {
    const [first, second] = [
      { id: 'm7', seq: 7, text: 'grüße 🙂', author: { id: 'u' }, channel: 'c', thread: 't' },
      { id: 'm9', seq: 9, data: { a: [1] }, sentAt: '2026-01-05T12:00:00Z' },
    ];
    expect(JSON.parse(makeAgentRequest(makeTurn(), undefined).body)).toEqual({
      runId: 'main.telegram=3A42.7.abc',
      attempt: 2,
      agent: 'main',
      session: 'telegram:42',
      message: second,
      messages: [first, second],
      skipped: [first],
      state: { n: 1 },
      deadline: '2026-01-05T12:00:00.000Z',
    });
  });

  it('tells the agent the number of a message, and that it came late', () => {
    const messages = [{ id: 'm1', seq: 1, sequence: 0, late: true as const }];
    const { message } = JSON.parse(makeAgentRequest(makeTurn({ messages }), undefined).body) as { message: object };
    expect(message).toEqual({ id: 'm1', seq: 1, sequence: 0, late: true });
  });

  it('tells the agent what a full queue summarized, when there is something', () => {
    const body = JSON.parse(makeAgentRequest(makeTurn({ summarized: 1 }), undefined).body) as object;
    expect(body).toMatchObject({ summary: { count: 1, lines: ['grüße 🙂'] } });
    expect(JSON.parse(makeAgentRequest(makeTurn(), undefined).body)).not.toHaveProperty('summary');
  });

  it('has the task that the message starts, with its fencing token', () => {
    const task = { key: 'main/telegram:42::deploy', token: 7 };
    expect(JSON.parse(makeAgentRequest(makeTurn({ task }), undefined).body)).toMatchObject({ task });
    expect(JSON.parse(makeAgentRequest(makeTurn(), undefined).body)).not.toHaveProperty('task');
  });

  it.each([undefined, null])('a session without state has the state null: %s', (state) => {
    expect(JSON.parse(makeAgentRequest(makeTurn({ state: JsonText.of(state) }), undefined).body)).toHaveProperty(
      'state',
      null,
    );
  });

  it('has its content type and accepted types, and the same run id for every attempt', () => {
    const expected = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream, text/plain',
      'idempotency-key': 'main.telegram=3A42.7.abc',
    };
    for (const attempt of [1, 2]) {
      expect(makeAgentRequest(makeTurn({ attempt }), undefined).headers).toEqual(expected);
    }
  });

  it('signs the bytes of its body with the secret', () => {
    const secret = 'sëcret of sixteen';
    const { body, headers } = makeAgentRequest(makeTurn(), secret);
    // As an agent would check it: over the received bytes, with the bytes of the secret.
    const hmac = createHmac('sha256', Buffer.from(secret, 'utf8')).update(Buffer.from(body, 'utf8')).digest('hex');
    expect(headers['x-lanekeeper-signature']).toBe(`sha256=${hmac}`);
    expect(makeAgentRequest(makeTurn(), 'another secret').headers['x-lanekeeper-signature']).not.toBe(`sha256=${hmac}`);
    expect(makeAgentRequest(makeTurn({ attempt: 3 }), secret).headers['x-lanekeeper-signature']).not.toBe(
      `sha256=${hmac}`,
    );
  });

  it('without a secret has no signature', () => {
    expect(makeAgentRequest(makeTurn(), undefined).headers).not.toHaveProperty('x-lanekeeper-signature');
  });

  it('passes the trace on unchanged', () => {
    expect(makeAgentRequest(makeTurn({ trace: { traceparent, tracestate: 'a=1' } }), undefined).headers).toMatchObject({
      traceparent,
      tracestate: 'a=1',
    });
    expect(makeAgentRequest(makeTurn({ trace: { traceparent } }), undefined).headers).not.toHaveProperty('tracestate');
  });

  it('L6 leaves out a trace that no header can hold, so that the turn does not fail', () => {
    const tracestate = 'a=1\r\nx-lanekeeper-signature: forged';
    expect(makeAgentRequest(makeTurn({ trace: { traceparent, tracestate } }), undefined).headers).not.toHaveProperty(
      'tracestate',
    );
    const broken = makeAgentRequest(makeTurn({ trace: { traceparent: 'a → b' } }), undefined);
    expect(broken.headers).not.toHaveProperty('traceparent');
  });
});
