/**
 * JSON numbers have any number of digits, JavaScript numbers about 16. A number that would lose digits is kept exactly: a whole
 * number becomes a `bigint`, another one a value of `JSON.rawJSON`, which is written as it was read.
 */

/** Functions of the platform that TypeScript's types do not know yet. */
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

/** 16 digits, or an exponent of three: fewer lose nothing. Strings may match too; they only take the slower path. */
const MAY_LOSE = /[\d.]{16}|\d[eE][+-]?0*\d{3}/;

/** Parses a JSON text; no number in it loses a digit. */
export function parseExact(text: string): unknown {
  return MAY_LOSE.test(text)
    ? exactJson.parse(text, (_key, value, context) => exact(value, context, toExact))
    : JSON.parse(text);
}

/** Like `parseExact`, but for values that `JSON.stringify` writes again, since it does not accept a `bigint`. */
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

/** Whether a number is written with the same digits as its source, however it is spelled: `1.0` and `1e0` are 1. */
function keepsDigits(source: string, value: number): boolean {
  return Number.isFinite(value) && spelling(source) === spelling(String(value));
}

/** The digits without zeros around them, and the power of ten of the last digit. */
function spelling(source: string): string {
  const [, sign = '', whole = '', part = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source) ?? [];
  const digits = `${whole}${part}`.replace(/^0+/, '');
  const bare = digits.replace(/0+$/, '');
  return bare === '' ? '0' : `${sign}${bare}e${Number(power) - part.length + digits.length - bare.length}`;
}
