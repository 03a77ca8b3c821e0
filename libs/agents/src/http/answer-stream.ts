import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { z } from 'zod';
import { JsonText } from '#contracts';
import { AnswerError } from '../handler-answer.js';
import type { ReplyContent } from '../turn.js';
import { streamCut } from './agent-failures.js';
import { readAnswerJson, readDelta, readReplyJson } from './answer-json.js';

const textEvent = z.object({ text: z.string() });
const replyEvent = z.object({ text: z.string().optional(), data: z.instanceof(JsonText).optional() });
const doneEvent = z.record(z.string(), z.unknown());

/**
 * Reads an agent's `text/event-stream`: `delta {text}`, `reply {text}`, `done {state?, replies?}`. The stream must end
 * with `done`, or it counts as broken off. Without any reply, the joined deltas are the reply.
 */
export class AnswerStream {
  private readonly replies: ReplyContent[] = [];
  private deltas = '';
  private done: Record<string, unknown> | undefined;
  private problem: AnswerError | undefined;
  private readonly parser = createParser({
    onEvent: (event) => {
      this.problem ??= this.take(event);
    },
  });

  /** Takes the next chunk of the body. True after `done`: the rest is ignored. */
  feed(chunk: string): boolean {
    this.parser.feed(chunk);
    if (this.problem !== undefined) throw this.problem;
    return this.done !== undefined;
  }

  /** The complete answer, in the form of a JSON answer. */
  finish(): object {
    if (this.done === undefined) throw streamCut();
    const { replies: last = [], ...rest } = this.done;
    if (!Array.isArray(last)) throw new AnswerError('replies in `done` that are no list');
    const replies = [...this.replies, ...(last as ReplyContent[])];
    if (replies.length === 0 && this.deltas !== '') {
      if (!this.deltas.isWellFormed()) throw new AnswerError('deltas with half a surrogate pair');
      replies.push(this.deltas);
    }
    return { ...rest, replies };
  }

  private take({ event, data }: EventSourceMessage): AnswerError | undefined {
    if (this.done !== undefined) return undefined;
    if (event === 'delta') return this.read(data, textEvent, event, readDelta, ({ text }) => (this.deltas += text));
    if (event === 'reply')
      return this.read(data, replyEvent, event, readReplyJson, (reply) => this.replies.push(reply as ReplyContent));
    if (event === 'done')
      return this.read(data === '' ? '{}' : data, doneEvent, event, readAnswerJson, (done) => (this.done = done));
    // Ignore events that the agent defines itself, as the standard allows.
    return undefined;
  }

  private read<T>(
    data: string,
    schema: z.ZodType<T>,
    event: string,
    parse: (text: string) => unknown,
    use: (value: T) => void,
  ): AnswerError | undefined {
    try {
      const parsed = schema.safeParse(parse(data));
      if (parsed.success) return void use(parsed.data);
    } catch (error) {
      if (error instanceof AnswerError) return error;
      // The error below says so.
    }
    return new AnswerError(`an event \`${event}\` whose data is not the JSON object it should be`);
  }
}
