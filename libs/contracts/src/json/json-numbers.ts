/**
 * Numbers of JSON have any number of digits, those of this language about 16. What would lose some is told apart: a whole
 * number becomes a `bigint`, another one what `JSON.rawJSON` makes, which is written as it was read.
 */

/** What the platform has and the types of the language do not know yet. */
interface ExactJson {
  rawJSON(text: string): object;
  isRawJSON(value: unknown): boolean;
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
}
const exactJson = JSON as unknown as ExactJson;

/** A number that is written digit for digit as this text. */
export const rawNumber = (text: string): object => exactJson.rawJSON(text);

export const isRawNumber = (value: unknown): boolean => exactJson.isRawJSON(value);

/** 16 digits, or an exponent of three: fewer lose nothing. Strings may look the same; they only take the longer way. */
const MAY_LOSE = /[\d.]{16}|\d[eE][+-]?0*\d{3}/;

/** Reads a JSON text; no number in it loses a digit. */
export function parseExact(text: string): unknown {
  return MAY_LOSE.test(text)
    ? exactJson.parse(text, (_key, value, context) => exact(value, context, toExact))
    : JSON.parse(text);
}

/** As `parseExact`, but for what is written again by `JSON.stringify`, which takes no `bigint`. */
export function parseToWrite(text: string): unknown {
  return MAY_LOSE.test(text)
    ? exactJson.parse(text, (_key, value, context) => exact(value, context, rawNumber))
    : JSON.parse(text);
}

function exact(value: unknown, { source }: { readonly source?: string }, told: (source: string) => unknown): unknown {
  if (typeof value !== 'number' || source === undefined || keepsDigits(source, value)) return value;
  return told(source);
}

function toExact(source: string): unknown {
  return /^-?\d+$/.test(source) ? BigInt(source) : rawNumber(source);
}

/** Whether a number is written with the same digits as its source, however either is spelled: `1.0` and `1e0` are 1. */
function keepsDigits(source: string, value: number): boolean {
  return Number.isFinite(value) && spelling(source) === spelling(String(value));
}

/** The digits without zeros around them, and the power of ten of the last one. */
function spelling(source: string): string {
  const [, sign = '', whole = '', part = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source) ?? [];
  const digits = `${whole}${part}`.replace(/^0+/, '');
  const bare = digits.replace(/0+$/, '');
  return bare === '' ? '0' : `${sign}${bare}e${Number(power) - part.length + digits.length - bare.length}`;
}
