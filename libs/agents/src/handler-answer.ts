import { z } from 'zod';
import { carriedJson, describeValue, inOurWords, isJsonValue, TerminalError } from '#contracts';
import { messageVerdicts, readVerdicts, type MessageVerdict } from './message-verdicts.js';
import type { ReplyContent, Turn } from './turn.js';
import { StateReadOnlyError } from './turn-state.js';

/** What a handler may return: nothing, a reply, or `{replies, state, messages}` as over HTTP. */
export type HandlerAnswer =
  void | undefined | null | string | { replies?: ReplyContent[]; state?: unknown; messages?: MessageVerdict[] };
export type TurnHandler = (turn: Turn) => Promise<unknown> | unknown;

/** `JSON.stringify` would also convert a date or a map, but not into what its author meant. */
const anyJson = z.unknown().refine(isJsonValue, 'any JSON').pipe(carriedJson());
const replyContent = z.union([
  z.string(),
  z
    .strictObject({ text: z.string().optional(), data: anyJson.optional() })
    .refine((reply) => reply.text !== undefined || reply.data !== undefined, { message: 'a text or data' }),
]);
const answerObject = z.strictObject({
  replies: z.array(replyContent).optional(),
  state: anyJson.optional(),
  messages: messageVerdicts.optional(),
});

/** Applies the handler's return value to the turn. Throws `AnswerError` when its form is wrong. */
export function applyAnswer(turn: Turn, answer: unknown): void {
  if (answer === undefined || answer === null) return;
  if (typeof answer === 'string') return turn.reply(answer);
  const parsed = answerObject.safeParse(answer, { error: inOurWords });
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new AnswerError(`${issue?.path.join('.') || describeValue(answer)}: ${issue?.message}`);
  }
  if (parsed.data.messages !== undefined) {
    const read = readVerdicts(turn.messages, parsed.data.messages);
    if (!read.ok) throw new AnswerError(read.problem);
    turn.failMessages(read.failed);
  }
  for (const reply of parsed.data.replies ?? []) turn.reply(reply as ReplyContent);
  if (!('state' in parsed.data)) return;
  if (turn.isParallel) throw new StateReadOnlyError('answer');
  turn.state.set(parsed.data.state);
}

/** The handler has done its work and would return the same again. A retry would only repeat the work. */
export class AnswerError extends TerminalError {
  constructor(found: string) {
    super(
      `the handler's answer: found ${found}; wanted nothing, a text, or {replies?: [text | {text?, data?}], state?, ` +
        'messages?: [{id, seq?, decision: handled | failed, error?}]}',
      { code: 'bad_answer' },
    );
  }
}
