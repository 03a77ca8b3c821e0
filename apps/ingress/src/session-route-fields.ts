import ms, { type StringValue } from 'ms';
import {
  AGENT_NAME_PATTERN,
  MAX_MESSAGE_ID_CHARS,
  MAX_SESSION_KEY_BYTES,
  describeValue,
  isMessageId,
  showValue,
  type InputProblem,
} from '#contracts';
import { inputProblem, oneText } from '#http';

/**
 * Reads the fields of routes about a session: its path, the message id, the wait. Each read throws a 400 that names the field,
 * or answers the clean value.
 */

export interface SessionPath {
  readonly agent: string;
  readonly session: string;
}

export function readAgent(agent: string): string {
  return readSessionPath(agent, 'any').agent;
}

export function readSessionPath(agent: string, session: string): SessionPath {
  const problems: InputProblem[] = [];
  if (!AGENT_NAME_PATTERN.test(agent)) {
    problems.push({
      field: 'agent',
      found: describeValue(agent),
      wanted: 'a name of a-z 0-9 _ -, at most 64 characters',
    });
  }
  const bytes = Buffer.byteLength(session);
  if (bytes === 0 || bytes > MAX_SESSION_KEY_BYTES) {
    problems.push({
      field: 'session',
      found: `${bytes} bytes`,
      wanted: `1 to ${MAX_SESSION_KEY_BYTES} bytes of UTF-8`,
    });
  }
  if (problems.length > 0) throw inputProblem(400, problems);
  return { agent, session };
}

/** The longest time that a request may wait for its turn. */
const MAX_WAIT_MS = 10 * 60_000;

export function readWait(wait: unknown): number | undefined {
  if (wait === undefined) return undefined;
  const waitMs = typeof wait === 'string' && /^\d+(\.\d+)?(ms|s|m)$/.test(wait) ? ms(wait as StringValue) : undefined;
  if (waitMs === undefined || waitMs <= 0 || waitMs > MAX_WAIT_MS) {
    throw inputProblem(400, [
      { field: 'wait', found: showValue(wait), wanted: 'a time such as 500ms, 30s or 2m, at most 10m' },
    ]);
  }
  return waitMs;
}

/** Whether all replies of a turn are wanted, whichever of its messages they are told with. */
export function readReplies(replies: unknown): boolean {
  if (replies === undefined || replies === 'all') return replies !== undefined;
  throw inputProblem(400, [
    {
      field: 'replies',
      found: showValue(replies),
      wanted: 'all',
      remedy: 'leave it out for what this message alone is told',
    },
  ]);
}

/** A filter of a list; absent = all. */
export function readOptionalAgent(agent: unknown): string | undefined {
  if (agent === undefined) return undefined;
  return readAgent(oneText('agent', agent));
}

/** A filter of a list; absent = all. */
export function readOptionalSession(session: unknown): string | undefined {
  if (session === undefined) return undefined;
  return readSessionPath('any', oneText('session', session)).session;
}

/** The id of the message: from the body, from `Idempotency-Key`, or none. Two that differ are an error. */
export function readMessageId(bodyId: string | undefined, header: unknown): string | undefined {
  if (header === undefined) return bodyId;
  if (typeof header !== 'string' || !isMessageId(header)) {
    const wanted = `1 to ${MAX_MESSAGE_ID_CHARS} printable characters`;
    throw inputProblem(400, [{ field: 'Idempotency-Key', found: describeValue(header), wanted }]);
  }
  if (bodyId !== undefined && bodyId !== header) {
    throw inputProblem(400, [
      {
        field: 'Idempotency-Key',
        found: 'another id than the body has',
        wanted: 'the same id in both',
        remedy: 'leave one of them out',
      },
    ]);
  }
  return header;
}
