import { z } from 'zod';
import { OUTCOMES } from './decisions.js';
import { parseCarried } from '../json/json-read.js';
import { checkInboxEntry, type InboxMessage } from '../message/message.js';
import type { SessionTokens } from '../naming/names.js';
import { recordedError } from './record.js';

/**
 * A message that will not be retried, with its content, for operators to look at, retry or drop. LK_DEAD is a view: the
 * truth is the decision `dead` in the session's record. Exported for the routes of dead messages, which tell it too.
 */
export const deadLetter = z.object({
  v: z.literal(1),
  messageId: z.string(),
  seq: z.int().positive().describe('Sequence of the message in the inbox'),
  runId: z.string(),
  attempts: z.int().nonnegative().describe('0 = it never began'),
  status: z.enum(OUTCOMES),
  error: recordedError,
  deadAt: z.number().describe('ms since the epoch'),
  message: z.custom<InboxMessage>(isMessage),
});
export type DeadLetter = z.infer<typeof deadLetter>;

/** Parts of an entry that are passed on without being read. */
const CARRIED = { message: { data: true } } as const;

/** Reads an entry; `undefined` for an invalid one. */
export function parseDeadLetter(text: string): DeadLetter | undefined {
  try {
    return deadLetter.safeParse(parseCarried(text, CARRIED)).data;
  } catch {
    return undefined;
  }
}

/** The id of an entry in routes and commands: `<agent>.<session>.<seq>`, the first two as subject tokens. */
export function makeDeadId({ agentToken, sessionToken }: SessionTokens, seq: number): string {
  return `${agentToken}.${sessionToken}.${seq}`;
}

export function parseDeadId(deadId: string): { agentToken: string; sessionToken: string; seq: number } | undefined {
  const match = /^([A-Za-z0-9_=-]+)\.([A-Za-z0-9_=-]+)\.([1-9]\d{0,15})$/.exec(deadId);
  const [, agentToken, sessionToken, seq] = match ?? [];
  if (agentToken === undefined || sessionToken === undefined) return undefined;
  return { agentToken, sessionToken, seq: Number(seq) };
}

function isMessage(value: unknown): boolean {
  const parsed = checkInboxEntry(value);
  return parsed.ok && parsed.message.kind === 'message';
}
