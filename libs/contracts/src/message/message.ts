import { z } from 'zod';
import { checkBody, parseShallow, type CheckedBody, type FieldNames } from '../errors/body-check.js';
import { carriedJson } from '../json/carried-json.js';
import { parseCarried } from '../json/json-read.js';
import { withMember } from '../json/json-text.js';
import { strategyOf, STRATEGY_WORDS, wantedStrategy } from './strategies.js';
import { STRATEGIES } from './strategy-table.js';
import { stalePolicy, taskMaxAttempts, taskNamespace, taskTtlMs } from './task-guard.js';
import { isTaskName, TASK_WANTED } from '../naming/task-key.js';
import { inOurWords } from '../errors/wanted.js';

/**
 * The body that a sender gives, and what is stored of it. Stored messages also have `v` and `kind`; agent and session are in
 * the subject, the hash of the id is in `Nats-Msg-Id`.
 */

export const AGENT_NAME_PATTERN = /^[a-z0-9][a-z0-9_-]{0,63}$/;
export const MAX_TEXT_BYTES = 256 * 1024;
/** Largest stored message: with its headers, and as a dead letter, it stays below the broker's payload limit. */
export const MAX_STORED_BYTES = 768 * 1024;
export const MAX_MESSAGE_ID_CHARS = 256;

const utf8Length = (text: string): number => Buffer.byteLength(text);

/** Unpaired surrogates have no UTF-8 form: a different text would be stored than was sent. */
const wellFormed = (text: string): boolean => text.isWellFormed();

const text = (maxChars: number, wanted?: string) =>
  z
    .string(wanted)
    .min(1, wanted)
    .max(maxChars)
    .refine(wellFormed, { message: 'well-formed Unicode, without lone surrogates' });

// Printable only: logs, URLs and headers contain the id, and a line break would forge a second line there.
const messageId = text(MAX_MESSAGE_ID_CHARS).refine((id) => !/\p{Cc}/u.test(id), {
  message: 'a text without control characters',
});

const author = z.strictObject({ id: text(256), name: text(256).optional() }, 'an object {id, name?}');

/** The name of an inbox entry whose own id cannot be read. */
export function unreadableId(seq: number): string {
  return `seq:${seq}`;
}

/** Whether a text may be a message id, whichever way it came. */
export function isMessageId(id: string): boolean {
  return messageId.safeParse(id).success;
}

const taskName = z.string(TASK_WANTED.name).refine(isTaskName, TASK_WANTED.name);

/** The task that a message starts: a name within its session, or one that sessions share by its namespace. */
const taskGroup = z.strictObject({
  name: taskName,
  namespace: taskNamespace.optional(),
  ttlMs: taskTtlMs.optional(),
  stale: stalePolicy.optional(),
  maxAttempts: taskMaxAttempts.optional(),
});
const TASK_FORM = '{name, namespace?, ttlMs?, stale?, maxAttempts?}';
const messageTask = z.union([taskName, taskGroup], `the name of a task, or ${TASK_FORM}`);
export type MessageTask = z.infer<typeof messageTask>;

const SEQUENCE_WANTED = `a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`;

const messageFields = {
  id: messageId,
  text: z.string().refine(wellFormed, { message: 'well-formed Unicode, without lone surrogates' }).optional(),
  data: carriedJson().optional(),
  author: author.optional(),
  thread: text(512).optional(),
  /** Where the thread is, as its platform names it: `telegram:-100`. The platform is the part before the first colon. */
  channel: text(512).optional(),
  /** What happens to this message when it overlaps with others; default: its agent's strategy. */
  strategy: z.enum(STRATEGIES, `one of ${STRATEGIES.join(', ')}`).optional(),
  /** Its place among the numbered messages of its session, without gaps from 0 or 1 on; the lane keeps that order. */
  sequence: z
    .int(SEQUENCE_WANTED)
    .nonnegative(SEQUENCE_WANTED)
    .describe(
      'Its place among the numbered messages of its session, from 0 or 1 on without holes. One that comes early waits ' +
        'gapTimeoutMs for those before it. A number belongs to one id: give an id with it',
    )
    .optional(),
  /** Its turn begins only when it gets the task; the message is refused while another run has it or it waits for approval. */
  task: messageTask
    .describe(`The task that it starts, by name or as ${TASK_FORM}: refused while that runs or waits for approval`)
    .optional(),
  replyTo: z
    .url({ protocol: /^https?$/ })
    .max(2048)
    .describe(
      'For routing only: messages with different ones share no turn, and what their sender is told carries it. Nothing is ' +
        'posted there; replies are fetched with ?wait= or GET …/messages/{id}',
    )
    .optional(),
  sentAt: z.iso.datetime({ offset: true }).optional(),
};

// Our own name is stored: a sender that repeats a message may use the other word for the same strategy.
const strategyWord = z.enum(STRATEGY_WORDS, { error: wantedStrategy }).transform(strategyOf);

export const sendMessageBody = z
  .strictObject({ ...messageFields, id: messageId.optional(), strategy: strategyWord.optional() })
  .refine((body) => body.text !== undefined || body.data !== undefined, {
    path: ['text'],
    message: 'a text or data',
  })
  .refine((body) => body.text === undefined || utf8Length(body.text) <= MAX_TEXT_BYTES, {
    path: ['text'],
    message: `at most ${MAX_TEXT_BYTES} bytes`,
    params: { tooLarge: true },
  });
export type SendMessageBody = z.infer<typeof sendMessageBody>;

/** Without a session in the path, the channel determines the session. */
export const channelMessageBody = sendMessageBody.safeExtend({
  channel: text(512, 'where it was said, such as telegram:-100; only the session route needs none'),
});
export type ChannelMessageBody = z.infer<typeof channelMessageBody>;

const inboxMessage = z.object({ v: z.literal(1), kind: z.literal('message'), ...messageFields });
export type InboxMessage = z.infer<typeof inboxMessage>;

/**
 * A message as operators are shown it. Its author and task may have more fields and its strategy any name, so that a program
 * that shows a message of a later version need not know them.
 */
export const sentMessage = z.object({
  ...messageFields,
  author: z.object(author.shape).optional(),
  task: z.union([taskName, z.object(taskGroup.shape)]).optional(),
  strategy: z
    .string()
    .describe(`One of ${STRATEGIES.join(', ')}`)
    .optional(),
  data: z.unknown().describe('Any JSON that the sender gave').optional(),
});

/**
 * An order to the session's lane. It lies in the inbox like a message and is decided like one, so that a takeover does not
 * forget it; it reaches no agent. It is about messages that were stored before it.
 */
const controlMessage = z.object({
  v: z.literal(1),
  kind: z.literal('control'),
  id: messageId,
  op: z.literal('cancel'),
  target: z.discriminatedUnion('what', [
    /** Everything that waits, and the running turn. */
    z.object({ what: z.literal('session') }),
    /** One message, by its inbox sequence; if a turn runs it, that turn is aborted. */
    z.object({ what: z.literal('message'), seq: z.int().positive() }),
    /** The turn of this run, whether it runs or waits for its next attempt. */
    z.object({ what: z.literal('run'), runId: z.string().max(4_096) }),
  ]),
});
export type ControlMessage = z.infer<typeof controlMessage>;
export type CancelTarget = ControlMessage['target'];

/** What the inbox of a session contains. */
const inboxEntry = z.discriminatedUnion('kind', [inboxMessage, controlMessage]);
export type InboxEntry = z.infer<typeof inboxEntry>;

/** Parts of an entry that are passed on without being read. */
const CARRIED = { data: true } as const;

/** The stored form of an entry. `data` is the last member: it is the longest, and is found at once there. */
export function writeInboxEntry(entry: InboxEntry): string {
  if (entry.kind === 'control' || entry.data === undefined) return JSON.stringify(entry);
  const { data, ...rest } = entry;
  return withMember(JSON.stringify(rest), 'data', data);
}

export type ParsedInboxEntry = { ok: true; message: InboxEntry } | { ok: false; problem: string };

/** Reads a stored body. A body that does not parse is decided `rejected` with this problem and never stops a reader. */
export function parseInboxEntry(text: string): ParsedInboxEntry {
  let json: unknown;
  try {
    json = parseCarried(text, CARRIED, 'data');
  } catch {
    return { ok: false, problem: 'the body is no JSON' };
  }
  return checkInboxEntry(json);
}

/** The same for a parsed body, with its `data` as text. */
export function checkInboxEntry(json: unknown): ParsedInboxEntry {
  if (isPlainMessage(json)) return { ok: true, message: json };
  const parsed = parseShallow(() => inboxEntry.safeParse(json, { error: inOurWords }));
  if (parsed === undefined) return { ok: false, problem: 'the body is nested too deeply' };
  if (parsed.success) return { ok: true, message: parsed.data };
  const issue = parsed.error.issues[0];
  // It contains names of unknown keys, which any sender may have chosen.
  const problem = `the body's ${issue?.path.join('.') || 'shape'}: ${issue?.message}`.slice(0, MAX_PROBLEM_CHARS);
  return { ok: false, problem };
}

/**
 * Whether it is a message with only texts in it, as nearly all are: everything that this accepts the schema accepts too, with
 * the same result. The schema handles all else and says what is wrong; it takes ten times as long.
 */
function isPlainMessage(value: unknown): value is InboxMessage {
  return hasPlainFields(value, SENT_TEXTS, 2) && value['v'] === 1 && value['kind'] === 'message' && 'id' in value;
}

/** The same for a body as a sender gives it, which must have a text. */
function isPlainBody(value: unknown): value is SendMessageBody {
  if (!hasPlainFields(value, SENT_TEXTS, 0)) return false;
  const { text } = value;
  // A UTF-16 unit takes three bytes at the most.
  return typeof text === 'string' && (text.length * 3 <= MAX_TEXT_BYTES || utf8Length(text) <= MAX_TEXT_BYTES);
}

/** The longest of each; text has a limit of its own. */
const SENT_TEXTS: Readonly<Record<string, number>> = {
  id: MAX_MESSAGE_ID_CHARS,
  text: Number.POSITIVE_INFINITY,
  thread: 512,
  channel: 512,
};

/** Whether every field is one of these texts and fits, except for `others` fields that the caller checks. */
function hasPlainFields(
  value: unknown,
  texts: Readonly<Record<string, number>>,
  others: number,
): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false;
  let rest = others;
  for (const name in value) {
    const field = (value as Record<string, unknown>)[name];
    const longest = Object.hasOwn(texts, name) ? texts[name] : undefined;
    if (longest === undefined) {
      if ((name !== 'v' && name !== 'kind') || --rest < 0) return false;
    } else if (typeof field !== 'string' || field.length > longest || !field.isWellFormed()) return false;
    else if (name === 'id' ? !isPrintable(field) : field === '' && name !== 'text') return false;
  }
  return rest === 0;
}

/** As `messageId` requires: not empty, and without control characters. */
function isPrintable(id: string): boolean {
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i);
    if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f)) return false;
  }
  return id !== '';
}

/** A record contains the problem, once per message. */
const MAX_PROBLEM_CHARS = 200;

/** Fields of later versions: refused by name today, since ignoring one would change what the sender asked for. */
const NOT_YET = ['priority'];
const KNOWN_FIELDS = Object.keys(messageFields);
const GROUPS = { author: Object.keys(author.shape), task: Object.keys(taskGroup.shape) };

const FIELDS: FieldNames = { known: [KNOWN_FIELDS, GROUPS], json: ['data'], later: NOT_YET };

export function checkSendMessageBody(body: unknown): CheckedBody<SendMessageBody> {
  return isPlainBody(body) ? { ok: true, body } : checkBody(sendMessageBody, body, FIELDS);
}

export function checkChannelMessageBody(body: unknown): CheckedBody<ChannelMessageBody> {
  return checkBody(channelMessageBody, body, FIELDS);
}
