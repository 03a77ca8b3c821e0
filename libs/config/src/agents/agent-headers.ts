import { z } from 'zod';
import { credentialsOf } from './agent-url.js';
import type { RuleProblem } from '../settings-rules.js';
import type { CheckedSettings } from '../settings.js';

/**
 * Headers that an operator adds to the requests to an agent's `url`, most of them credentials. A value stands in the text, or
 * only where it is: settings are passed on and shown, and what is in them goes with them.
 */

export type HeaderValue = string | { readonly env: string } | { readonly file: string };

export const MAX_HEADER_VALUE_CHARS = 8_192;
const MAX_HEADERS = 50;
const WANTED_VALUE = `a text of 1 to ${MAX_HEADER_VALUE_CHARS} visible ASCII characters, {env: NAME} (none that begins with LANEKEEPER_) or {file: path}`;
const WANTED_NAMES = `a group of at most ${MAX_HEADERS} headers, each name with its value`;

/** What a header may hold, without what would be lost on the way: space at its ends. */
export function isHeaderText(value: string): boolean {
  return value.length <= MAX_HEADER_VALUE_CHARS && /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/.test(value);
}

/** Variables with our prefix are settings, and refused where they are none. */
const ENV_NAME = /^(?!LANEKEEPER_)[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const FILE_PATH = /^[^\0]{1,4096}$/;

function isHeaderValue(value: unknown): boolean {
  if (typeof value === 'string') return isHeaderText(value);
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 1) return false;
  const { env, file } = value as { env?: unknown; file?: unknown };
  return (typeof env === 'string' && ENV_NAME.test(env)) || (typeof file === 'string' && FILE_PATH.test(file));
}

export const headersField = z
  .record(z.string(), z.custom<HeaderValue>(isHeaderValue, WANTED_VALUE), WANTED_NAMES)
  .refine((headers) => Object.keys(headers).length <= MAX_HEADERS, WANTED_NAMES);

/** A connection and the framing of a message on it are no business of an operator (RFC 9110, 7.6.1). */
const HOP_BY_HOP = [
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade', 'expect', 'content-length', 'host'],
];
/** What Lanekeeper says itself; with two values chance would decide which one holds. */
const OURS = [
  ...['accept', 'accept-encoding', 'content-encoding', 'content-type'],
  ...['idempotency-key', 'traceparent', 'tracestate'],
];
const OUR_PREFIX = 'x-lanekeeper-';
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;

type Finding = Omit<RuleProblem, 'path'>;

/** Rule: each header has one value, and means what people expect of it. */
export function headersAreTheirs({ agents }: CheckedSettings): RuleProblem[] {
  return Object.entries(agents).flatMap(([agent, { headers = {}, url }]) => {
    const seen = new Set<string>(credentialsOf(url) === undefined ? [] : ['authorization']);
    return Object.keys(headers).flatMap((name) => {
      const lower = name.toLowerCase();
      const finding = whyRefused(lower) ?? (seen.has(lower) ? whyTwice(lower) : undefined);
      seen.add(lower);
      return finding === undefined ? [] : [{ path: ['agents', agent, 'headers', name], ...finding }];
    });
  });
}

function whyRefused(lower: string): Finding | undefined {
  if (!TOKEN.test(lower)) {
    const wanted = "a header name: letters, digits and !#$%&'*+-.^_`|~";
    return { found: 'a name that no header can have', wanted, remedy: 'rename it' };
  }
  const remedy = 'leave it out';
  if (HOP_BY_HOP.includes(lower)) {
    return { found: 'a header of the connection', wanted: 'headers that reach the agent as they are', remedy };
  }
  if (OURS.includes(lower) || lower.startsWith(OUR_PREFIX)) {
    return { found: 'a header that Lanekeeper sets itself', wanted: 'other headers', remedy };
  }
  return undefined;
}

function whyTwice(lower: string): Finding {
  const other =
    lower === 'authorization' ? 'another one, or credentials in the url, beside it' : 'another one beside it';
  return {
    found: other,
    wanted: `one value for ${lower} (names of headers have no case)`,
    remedy: 'leave out one of them',
  };
}
