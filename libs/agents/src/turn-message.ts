import type { InboxMessage, JsonText } from '#contracts';

/** A message as the agent sees it. */
export interface TurnMessage {
  readonly id: string;
  /** Position in the inbox; grows with time. */
  readonly seq: number;
  readonly text?: string;
  /**
   * Parsed anew for each attempt. Whole numbers that a `number` would round are `bigint`; others that it would round are
   * what `JSON.rawJSON` makes, with their digits in `rawJSON`. `JSON.stringify(message)` writes them as they came.
   */
  readonly data?: unknown;
  /** The text that `data` came as: `turn.reply({ data: message.rawData })` says it again, unchanged. */
  readonly rawData?: JsonText;
  readonly author?: InboxMessage['author'];
  /** As its platform names it: `telegram:-100`. */
  readonly channel?: string;
  readonly thread?: string;
  /** Its place among the numbered messages of its session, when its sender gave one. */
  readonly sequence?: number;
  /** It came after messages with higher numbers had been handled, since its session waits for a number only so long. */
  readonly late?: true;
  readonly sentAt?: string;
}

/** A copy: what a handler does to its messages must not reach the next attempt of the same run (L7). */
export function toTurnMessage(seq: number, message: InboxMessage, isLate: true | undefined): TurnMessage {
  const { id, text, data, author, channel, thread, sequence, sentAt } = message;
  // One by one: a spread of each that may be absent is a new shape, and slow.
  const copy: { -readonly [Field in keyof TurnMessage]: TurnMessage[Field] } =
    data === undefined ? { id, seq } : new MessageWithData(id, seq, data);
  if (text !== undefined) copy.text = text;
  if (author !== undefined) copy.author = { ...author };
  if (channel !== undefined) copy.channel = channel;
  if (thread !== undefined) copy.thread = thread;
  if (sequence !== undefined) copy.sequence = sequence;
  if (isLate !== undefined) copy.late = true;
  if (sentAt !== undefined) copy.sentAt = sentAt;
  return copy;
}

/** Parses its data when a handler reads it: an agent over HTTP gets the text alone. */
class MessageWithData implements TurnMessage {
  declare readonly data: unknown;
  readonly #raw: JsonText;

  constructor(
    readonly id: string,
    readonly seq: number,
    raw: JsonText,
  ) {
    this.#raw = raw;
    const parse = (): unknown => {
      const { value } = raw;
      Object.defineProperty(this, 'data', { value, writable: true, enumerable: true, configurable: true });
      return value;
    };
    Object.defineProperty(this, 'data', { get: parse, enumerable: true, configurable: true });
  }

  get rawData(): JsonText {
    return this.#raw;
  }

  /** As an agent over HTTP gets it. */
  toJSON(): object {
    const own: Record<string, unknown> = {};
    for (const name of Object.keys(this)) if (name !== 'data') own[name] = (this as Record<string, unknown>)[name];
    own['data'] = this.#raw;
    return own;
  }
}
