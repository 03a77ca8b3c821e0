import { z } from 'zod';

/**
 * Headers that an operator adds to the requests to an agent's `url`, most of them credentials. The setting contains the value,
 * or only says where the value is: settings are stored and shown, and a value in them is stored and shown too.
 */

export type HeaderValue = string | { readonly env: string } | { readonly file: string };

export const MAX_HEADER_VALUE_CHARS = 8_192;
const MAX_HEADERS = 50;
const WANTED_VALUE = `a text of 1 to ${MAX_HEADER_VALUE_CHARS} visible ASCII characters, {env: NAME} (none that begins with LANEKEEPER_) or {file: path}`;
const WANTED_NAMES = `a group of at most ${MAX_HEADERS} headers, each name with its value`;

/** Text that a header can carry unchanged: spaces at its ends would be lost. */
export function isHeaderText(value: string): boolean {
  return value.length <= MAX_HEADER_VALUE_CHARS && /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/.test(value);
}

/** Variables with our prefix are settings, and unknown ones are refused. */
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
