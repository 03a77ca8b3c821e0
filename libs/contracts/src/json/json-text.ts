import { randomInt } from 'node:crypto';
import { parseExact, parseToWrite, rawNumber } from './json-numbers.js';
import { endOfString } from './json-strings.js';

/**
 * A JSON value that is passed on without being read: its original text, without spaces between its parts. If it were parsed
 * and written again, the text would change: numbers lose digits, `1.0` becomes 1, escapes go, and keys like "10" change their
 * place.
 */
export class JsonText {
  constructor(readonly text: string) {}

  /** For a value that was made here: `undefined` for what JSON cannot hold. A `bigint` in it is written as its digits. */
  static of(value: unknown): JsonText | undefined {
    if (value instanceof JsonText) return value;
    const text = writeJson(value);
    return text === undefined ? undefined : new JsonText(text);
  }

  get bytes(): number {
    return Buffer.byteLength(this.text);
  }

  /**
   * Parsed again at each access, so that a change by one reader does not affect another. Numbers keep their digits, see
   * `parseExact`.
   */
  get value(): unknown {
    return parseExact(this.text);
  }

  /** `writeJson` inserts its text unchanged. Elsewhere all digits are kept, but the spelling may change. */
  toJSON(): unknown {
    if (!isWriting) return parseToWrite(this.text);
    texts.push(this.text);
    return MARK;
  }
}

/**
 * The placeholder for a text while the rest is written: a number, since that is the only value that the platform writes as
 * given. No real number is spelled like it, and inside a string it does not count.
 */
const SPELLED_MARK = `-0E${randomInt(2 ** 40, 2 ** 47)}`;
const MARK = rawNumber(SPELLED_MARK);
let isWriting = false;
/** The texts of the document that is being written. */
let texts: string[] = [];

/**
 * `JSON.stringify` for values with `JsonText` in them, whose texts are inserted unchanged. A `bigint` is written as its digits.
 * `undefined` for what JSON cannot hold at all.
 */
export function writeJson(value: unknown): string | undefined {
  if (value instanceof JsonText) return value.text;
  // A `toJSON` of another library may write a document within this one.
  const [wasWriting, outer] = [isWriting, texts];
  isWriting = true;
  if (wasWriting) texts = [];
  try {
    const body = stringify(value);
    return texts.length === 0 || body === undefined ? body : withTexts(body, texts);
  } finally {
    isWriting = wasWriting;
    if (wasWriting) texts = outer;
    else if (texts.length > 0) texts = [];
  }
}

/** The text of a value that was made here, and that JSON can hold. */
export function jsonText(value: unknown): JsonText {
  const text = JsonText.of(value);
  if (text === undefined) throw new TypeError(`a ${typeof value} is no JSON`);
  return text;
}

/** Like `writeJson`, for an object. */
export function writeJsonObject(value: object): string {
  return writeJson(value) ?? 'null';
}

/** An object's text with one more member at its end. */
export function withMember(object: string, name: string, { text }: JsonText): string {
  const before = object.slice(0, -1);
  return `${before}${before === '{' ? '' : ','}"${name}":${text}}`;
}

function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value) as string | undefined;
  } catch (error) {
    // A `bigint`, or a value that cannot be written either way.
    if (!(error instanceof TypeError)) throw error;
    texts = [];
    return JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? rawNumber(String(part)) : part));
  }
}

function withTexts(body: string, parts: readonly string[]): string {
  let written = '';
  let from = 0;
  let next = 0;
  let quote = body.indexOf('"');
  let mark = body.indexOf(SPELLED_MARK);
  while (mark !== -1) {
    // A placeholder inside a string is a part of the string.
    while (quote !== -1 && quote < mark) {
      const end = endOfString(body, quote);
      if (mark < end) mark = body.indexOf(SPELLED_MARK, end);
      quote = body.indexOf('"', end + 1);
    }
    if (mark === -1) break;
    written += body.slice(from, mark) + (parts[next++] ?? '');
    from = mark + SPELLED_MARK.length;
    mark = body.indexOf(SPELLED_MARK, from);
  }
  return written + body.slice(from);
}
