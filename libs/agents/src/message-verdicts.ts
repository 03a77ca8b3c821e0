import { z } from 'zod';
import { boundedError } from '#contracts';
import type { TurnMessage } from './turn-message.js';

/**
 * What an agent decides about single messages of its turn. Those that it names `failed` end dead, each with its own error;
 * those that it names `handled`, or does not name, are handled.
 */

const error = z.union(
  [z.string(), z.strictObject({ name: z.string().min(1).optional(), message: z.string() })],
  'a text, or {name?, message}',
);

const verdict = z
  .strictObject({
    id: z.string().optional(),
    /** Where two messages of the turn have one id. */
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

/** A message that ends dead though its turn came to a good end. */
export interface FailedMessage {
  readonly seq: number;
  readonly error: { readonly name: string; readonly message: string };
}

export type ReadVerdicts =
  | { readonly ok: true; readonly failed: readonly FailedMessage[] }
  /** Which entry names no message, or one that another entry names too. */
  | { readonly ok: false; readonly problem: string };

/** An entry that is about no message, or about the same as another, is refused: guessing would end the wrong one. */
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

/** It is a message's `reason`, in events and logs as well, where nothing that people wrote may be. */
const CODE = /^[\w.:-]+$/;
const DEFAULT_NAME = 'message_failed';

/** As bounded as what a handler throws: the name stands in the record, once per message. */
function errorOf(why: MessageVerdict['error']): FailedMessage['error'] {
  const { name = DEFAULT_NAME, message } =
    typeof why === 'object' ? why : { message: why ?? 'the agent gave no reason for this message' };
  return CODE.test(name) ? boundedError(name, message) : boundedError(DEFAULT_NAME, `${name}: ${message}`);
}

function refuse(index: number, what: string): ReadVerdicts {
  return { ok: false, problem: `messages.${index}: ${what}` };
}
