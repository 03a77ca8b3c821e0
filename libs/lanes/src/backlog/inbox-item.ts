import {
  AGENT_NAME_PATTERN,
  MAX_SESSION_KEY_BYTES,
  MAX_STORED_BYTES,
  decodeToken,
  decodeUtf8,
  describeThrown,
  parseInboxEntry,
  unreadableId,
  type ControlMessage,
  type InboxEntry,
  type InboxMessage,
  type QueueSettings,
  type SessionTokens,
} from '#contracts';
import type { TaskRef, TaskRefusal } from './task-of-message.js';

/** A message of the inbox as a lane keeps it. */
export interface InboxItem {
  readonly seq: number;
  readonly id: string;
  /** The broker's clock, ms since the epoch. */
  readonly storedAtMs: number;
  /** Size of its body. */
  readonly bytes: number;
  readonly content:
    { readonly ok: true; readonly message: InboxEntry } | { readonly ok: false; readonly problem: string };
  /** Where its answer goes. Messages of one route share a turn; routes take turns by their oldest message (L2). */
  readonly route: string;
  /** How it waits and is taken. */
  readonly queueing: QueueSettings;
  /** The task that it starts: it runs in a turn of its own. */
  readonly task?: TaskRef;
  /** It does not get its task: no turn takes it, and a note refuses it. */
  readonly refusal?: TaskRefusal;
  /** It came after the lane had gone on without its number. */
  readonly isLate?: true;
  readonly traceparent?: string;
  readonly tracestate?: string;
}

export interface RawInboxMessage {
  readonly seq: number;
  readonly storedAtMs: number;
  readonly data: Uint8Array;
  header(name: string): string;
}

/** How a message is read for its lane. */
export interface ItemRules {
  /** Why no message of its subject can be one of a session; looked at once, not with every message. */
  readonly tokenProblem?: string | undefined;
  /** Without a message: how those of its agent wait. */
  readonly queueingOf: (key: SessionTokens, message?: Pick<InboxMessage, 'channel' | 'strategy'>) => QueueSettings;
  /** Absent: no message starts a task. */
  readonly taskOf?: ((key: SessionTokens, message: InboxMessage) => TaskRef | undefined) | undefined;
}

/**
 * Reads what lies in the inbox. Any publisher can put anything there, so this never throws: what cannot be a
 * message becomes an item with a problem, is decided `rejected`, and stops nothing.
 */
export function readInboxItem(key: SessionTokens, raw: RawInboxMessage, rules: ItemRules): InboxItem {
  const { tokenProblem } = rules;
  const content = tokenProblem === undefined ? readContent(raw.data) : { ok: false as const, problem: tokenProblem };
  try {
    return toItem(key, raw, rules, content);
  } catch (error) {
    // Thrown on, it would stop the reader, and with it every other message of the shard.
    const problem = `it cannot be prepared: ${describeThrown(error).message}`.slice(0, MAX_PROBLEM_CHARS);
    return toItem(key, raw, rules, { ok: false, problem });
  }
}

/** It stands in a record. */
const MAX_PROBLEM_CHARS = 200;

function toItem(
  key: SessionTokens,
  raw: RawInboxMessage,
  { queueingOf, taskOf }: ItemRules,
  content: InboxItem['content'],
): InboxItem {
  const message = content.ok && content.message.kind === 'message' ? content.message : undefined;
  const task = message === undefined ? undefined : taskOf?.(key, message);
  const traceparent = raw.header('traceparent');
  const tracestate = traceparent === '' ? '' : raw.header('tracestate');
  const item: { -readonly [Field in keyof InboxItem]: InboxItem[Field] } = {
    seq: raw.seq,
    storedAtMs: raw.storedAtMs,
    bytes: raw.data.length,
    content,
    id: content.ok ? content.message.id : unreadableId(raw.seq),
    route: message === undefined ? '' : routeOf(message),
    queueing: queueingOf(key, message),
  };
  // One by one: a spread of each that may be absent costs room in every item that waits.
  if (task !== undefined) item.task = task;
  if (traceparent !== '') item.traceparent = traceparent;
  if (tracestate !== '') item.tracestate = tracestate;
  return item;
}

/** The order that a control message carries. */
export function orderOf({ content }: InboxItem): ControlMessage {
  if (content.ok && content.message.kind === 'control') return content.message;
  throw new Error('no control message');
}

/** Why these subject tokens name no session; `undefined` when they do. */
export function checkSessionTokens(key: SessionTokens): string | undefined {
  const agent = decodeToken(key.agentToken);
  if (agent === undefined || !AGENT_NAME_PATTERN.test(agent)) return 'the agent token of the subject names no agent';
  const session = decodeToken(key.sessionToken);
  if (session === undefined) return 'the session token of the subject is not a canonical encoding';
  if (Buffer.byteLength(session) > MAX_SESSION_KEY_BYTES) {
    return `the session key is longer than ${MAX_SESSION_KEY_BYTES} bytes`;
  }
  return undefined;
}

function readContent(data: Uint8Array): InboxItem['content'] {
  // Ingress stores none like it; one published past it would not fit into a dead letter later.
  if (data.length > MAX_STORED_BYTES) return { ok: false, problem: `the body has more than ${MAX_STORED_BYTES} bytes` };
  const text = decodeUtf8(data);
  if (text === undefined) return { ok: false, problem: 'the body is no UTF-8' };
  const parsed = parseInboxEntry(text);
  return parsed.ok ? parsed : { ok: false, problem: parsed.problem };
}

function routeOf({ channel, thread, replyTo }: InboxEntry & { kind: 'message' }): string {
  if (channel === undefined && thread === undefined && replyTo === undefined) return '';
  return JSON.stringify([channel ?? null, thread ?? null, replyTo ?? null]);
}
