import { createHmac } from 'node:crypto';
import { writeJsonObject } from '#contracts';
import { readTraceContext, type TraceContext } from '#telemetry';
import type { Turn } from '../turn.js';

export interface AgentRequest {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * The request that an agent gets over HTTP. `Idempotency-Key` is the `runId`, the same for all attempts, so the agent
 * can tell a repetition from new work. With a secret, `X-Lanekeeper-Signature` is `sha256=` and the hex HMAC-SHA256 of
 * the body.
 */
export function makeAgentRequest(turn: Turn, secret: string | undefined): AgentRequest {
  const { summary } = turn;
  const body = writeJsonObject({
    runId: turn.runId,
    attempt: turn.attempt,
    agent: turn.agent,
    session: turn.session,
    message: turn.message,
    messages: turn.messages,
    skipped: turn.skipped,
    ...(summary === undefined ? {} : { summary }),
    ...(turn.task === undefined ? {} : { task: turn.task }),
    state: turn.state.getRaw() ?? null,
    deadline: turn.deadline.toISOString(),
  });
  return {
    body,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream, text/plain',
      'idempotency-key': turn.runId,
      // Check it again: any client of the broker may publish to the inbox, and a malformed trace must not fail the
      // turn.
      ...readTraceContext((name) => turn.trace?.[name as keyof TraceContext]),
      ...(secret === undefined ? {} : { 'x-lanekeeper-signature': sign(body, secret) }),
    },
  };
}

function sign(body: string, secret: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}
