import { JsonText } from './json-text.js';
import { JsonWalk, type CarriedMembers, type JsonFault } from './json-walk.js';

/** Members that our own writers put last. */
const LAST_KEY = { data: ',"data":', state: ',"state":' } as const;
type LastMember = keyof typeof LAST_KEY;

export type ReadJson =
  | { readonly ok: true; readonly value: unknown }
  /** Without a fault it is not JSON at all. */
  | { readonly ok: false; readonly fault?: JsonFault };

/** Parses text from outside: each carried member becomes a `JsonText`, and what two readers may read differently is a fault. */
export function readJson(text: string, carried: CarriedMembers): ReadJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false };
  }
  if (isPlain(text, value, carried)) return { ok: true, value };
  const fault = JsonWalk.check(text, value, carried);
  return fault === undefined ? { ok: true, value } : { ok: false, fault };
}

/**
 * Parses text that was checked on arrival: each carried member becomes a `JsonText`. Throws for text that is not JSON. `last`:
 * the member that our own writers put last; if it is found there, no walk is needed.
 */
export function parseCarried(text: string, carried: CarriedMembers, last?: LastMember): unknown {
  const split = last === undefined ? undefined : parseSplit(text, last, carried);
  if (split !== undefined) return split;
  const value: unknown = JSON.parse(text);
  if (hasCarried(value, carried)) JsonWalk.carry(text, value, carried);
  return value;
}

/**
 * Parses the text before the member and the text after its key separately: if both are JSON, the member belongs to the whole
 * and is its last one. `undefined` when this fails, or when another member is carried too.
 */
function parseSplit(text: string, last: LastMember, carried: CarriedMembers): unknown {
  const at = text.indexOf(LAST_KEY[last]);
  if (at === -1 || !text.endsWith('}')) return undefined;
  const tail = text.slice(at + LAST_KEY[last].length, -1);
  try {
    const value: unknown = JSON.parse(`${text.slice(0, at)}}`);
    if (typeof value !== 'object' || value === null || hasCarried(value, carried)) return undefined;
    JSON.parse(tail);
    (value as Record<string, unknown>)[last] = new JsonText(tail);
    return value;
  } catch {
    return undefined;
  }
}

function hasCarried(value: unknown, carried: CarriedMembers): boolean {
  if (typeof value !== 'object' || value === null) return false;
  for (const name in carried) {
    const below = carried[name];
    if (name === '*') {
      if (!Array.isArray(value) || typeof below !== 'object') continue;
      for (const item of value) if (hasCarried(item, below)) return true;
    } else if (Object.hasOwn(value, name)) {
      if (below === true || (below !== undefined && hasCarried((value as Record<string, unknown>)[name], below)))
        return true;
    }
  }
  return false;
}

/** Deeper values are rare, and take the walk. */
const PLAIN_LEVELS = 8;

/**
 * Whether nothing in it is carried and the walk would find no fault: each name and each text has two quotes, so a duplicate
 * member leaves some over. Everything that this accepts the walk accepts too, and this is many times faster.
 */
function isPlain(text: string, value: unknown, carried: CarriedMembers): boolean {
  for (const name in carried) if (Object.hasOwn(Object(value), name)) return false;
  const strings = stringsIn(value, PLAIN_LEVELS);
  return strings !== -1 && quotesOf(text) === 2 * strings;
}

/** The number of names and texts in a value; -1 for a value that needs the walk. */
function stringsIn(value: unknown, levels: number): number {
  if (typeof value === 'string') return 1;
  if (typeof value !== 'object' || value === null) return 0;
  if (levels === 0) return -1;
  const isArray = Array.isArray(value);
  let strings = 0;
  for (const name in value) {
    if (name === '__proto__' || name === 'prototype') return -1;
    const below = stringsIn((value as Record<string, unknown>)[name], levels - 1);
    if (below === -1) return -1;
    strings += below + (isArray ? 0 : 1);
  }
  return strings;
}

/** The number of quotes that begin or end a string; -1 when a string may contain half a surrogate pair. */
function quotesOf(text: string): number {
  let quotes = 0;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at + 1)) quotes++;
  for (let at = text.indexOf('\\'); at !== -1; at = text.indexOf('\\', at + 2)) {
    const next = text.charCodeAt(at + 1);
    if (next === QUOTE) quotes--;
    else if (next === SMALL_U && (text.charCodeAt(at + 2) | LOWER_CASE) === SMALL_D) return -1;
  }
  return quotes;
}

const QUOTE = 0x22;
const SMALL_U = 0x75;
const SMALL_D = 0x64;
const LOWER_CASE = 0x20;
