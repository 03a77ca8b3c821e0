import type { InboxMessage, JsonText } from '#contracts';

/** A message as the agent sees it. */
export interface TurnMessage {
  readonly id: string;
  /** Position in the inbox; grows with time. */
  readonly seq: number;
  readonly text?: string;
  /**
   * Parsed again for each attempt. Whole numbers that a `number` would round are `bigint`. Other numbers that it would
   * round are made by `JSON.rawJSON` and have their digits in `rawJSON`. `JSON.stringify(message)` writes all of them
   * unchanged.
   */
  readonly data?: unknown;
  /** The original text of `data`. `turn.reply({ data: message.rawData })` sends it unchanged. */
  readonly rawData?: JsonText;
  readonly author?: InboxMessage['author'];
  /** Name of the channel, such as `telegram:-100`. */
  readonly channel?: string;
  readonly thread?: string;
  /** Its number among the numbered messages of its session, when the sender gave one. */
  readonly sequence?: number;
  /**
   * Messages with higher numbers were handled before it: the session waits for a missing number only for a limited
   * time.
   */
  readonly late?: true;
  readonly sentAt?: string;
}

/** A copy, so that a handler's changes do not reach the next attempt of the same run (L7). */
export function toTurnMessage(seq: number, message: InboxMessage, isLate: true | undefined): TurnMessage {
  const { id, text, data, author, channel, thread, sequence, sentAt } = message;
  // Assign fields one by one. Spreads of optional fields create many object shapes, which is slow.
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

/** Parses `data` when a handler first reads it. An agent over HTTP gets only the text. */
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

  /** The form that an agent over HTTP gets. */
  toJSON(): object {
    const own: Record<string, unknown> = {};
    for (const name of Object.keys(this)) if (name !== 'data') own[name] = (this as Record<string, unknown>)[name];
    own['data'] = this.#raw;
    return own;
  }
}
