import { z } from 'zod';
import { boundedError } from '#contracts';
import type { TurnMessage } from './turn-message.js';

/**
 * What an agent decides about single messages of its turn. A message named `failed` ends dead with its own error. A
 * message named `handled`, or not named, is handled.
 */

const error = z.union(
  [z.string(), z.strictObject({ name: z.string().min(1).optional(), message: z.string() })],
  'a text, or {name?, message}',
);

const verdict = z
  .strictObject({
    id: z.string().optional(),
    /** Needed where two messages of the turn have the same id. */
    seq: z.int().positive().optional(),
    decision: z.enum(['handled', 'failed'], 'handled or failed'),
    error: error.optional(),
  })
  .refine(({ id, seq }) => id !== undefined || seq !== undefined, { message: 'the id of a message, or its seq' })
  .refine((one) => one.decision === 'failed' || one.error === undefined, {
    path: ['error'],
    message: 'an error only with decision failed',
  });

export const messageVerdicts = z.array(verdict);
export type MessageVerdict = z.infer<typeof verdict>;

/** A message that ends dead although its turn succeeded. */
export interface FailedMessage {
  readonly seq: number;
  readonly error: { readonly name: string; readonly message: string };
}

export type ReadVerdicts =
  | { readonly ok: true; readonly failed: readonly FailedMessage[] }
  /** Names the entry that matches no message, or a message that another entry names too. */
  | { readonly ok: false; readonly problem: string };

/**
 * Refuses an entry that matches no message, or the same message as another entry. A guess could end the wrong message.
 */
export function readVerdicts(messages: readonly TurnMessage[], verdicts: readonly MessageVerdict[]): ReadVerdicts {
  const named = new Set<number>();
  const failed: FailedMessage[] = [];
  for (const [i, { id, seq, decision, error: why }] of verdicts.entries()) {
    const meant = messages.filter((each) => (id ?? each.id) === each.id && (seq ?? each.seq) === each.seq);
    const [message, another] = meant;
    if (message === undefined) return refuse(i, 'no message of this turn');
    if (another !== undefined) return refuse(i, `an id that ${meant.length} messages have; give the seq too`);
    if (named.has(message.seq)) return refuse(i, 'a message that an entry before it names');
    named.add(message.seq);
    if (decision === 'failed') failed.push({ seq: message.seq, error: errorOf(why) });
  }
  return { ok: true, failed };
}

/** The name becomes the message's `reason` in events and logs, so it must not contain what people wrote. */
const CODE = /^[\w.:-]+$/;
const DEFAULT_NAME = 'message_failed';

/** Bounded like an error that a handler throws: the record has the name once per message. */
function errorOf(why: MessageVerdict['error']): FailedMessage['error'] {
  const { name = DEFAULT_NAME, message } =
    typeof why === 'object' ? why : { message: why ?? 'the agent gave no reason for this message' };
  return CODE.test(name) ? boundedError(name, message) : boundedError(DEFAULT_NAME, `${name}: ${message}`);
}

function refuse(index: number, what: string): ReadVerdicts {
  return { ok: false, problem: `messages.${index}: ${what}` };
}
