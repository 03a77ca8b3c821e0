import { endOfString } from './json-strings.js';
import { JsonText } from './json-text.js';

/**
 * A walk along a JSON text that `JSON.parse` has accepted. It finds the carried values, and text that is JSON but means
 * different things to different readers (RFC 8259, sections 4 and 8.2; RFC 7493): the sender is told of these.
 */

/** Which members are carried as text; `*` is each item of an array. */
export interface CarriedMembers {
  readonly [name: string]: true | CarriedMembers;
}

export interface JsonFault {
  /** The place of the fault: `data.user.0.id`. */
  readonly field: string;
  readonly found: string;
  readonly wanted: string;
}

/** Levels of arrays and objects in one value: far more than a sender writes, far fewer than fit on a program's stack. */
export const MAX_JSON_DEPTH = 64;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACE = 0x20;

/** An array or object that the walk is in. */
interface Level {
  readonly isArray: boolean;
  /** Parsed, as long as something in it may be carried. */
  readonly parsed: Record<string | number, unknown> | undefined;
  readonly carried: CarriedMembers | undefined;
  /** The keys so far, of an object that is checked. */
  readonly keys: Set<string> | undefined;
  /** The current member or item. */
  at: string | number;
  isAtKey: boolean;
}

export class JsonWalk {
  private readonly levels: Level[] = [];
  private level: Level | undefined;
  private at = 0;
  /** The next backslash from here on: no string before it has an escape. */
  private escapeAt = -1;
  /** Inside a carried value: the start of its text that is not copied yet; -1 = not inside one. */
  private from = -1;
  private copied = '';
  private carriedDepth = 0;

  private constructor(
    private readonly text: string,
    private readonly isChecked: boolean,
  ) {}

  /** Replaces the carried members of the parsed value by their texts. */
  static carry(text: string, value: unknown, carried: CarriedMembers): void {
    new JsonWalk(text, false).run(value, carried);
  }

  /** Like `carry`; returns the first fault, after which the value must not be used. */
  static check(text: string, value: unknown, carried: CarriedMembers): JsonFault | undefined {
    if (!text.isWellFormed()) return { field: '', ...LONE_SURROGATE };
    return new JsonWalk(text, true).run(value, carried);
  }

  private run(value: unknown, carried: CarriedMembers): JsonFault | undefined {
    const { text } = this;
    while (this.at < text.length) {
      const fault = this.step(text.charCodeAt(this.at), value, carried);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  private step(char: number, root: unknown, carried: CarriedMembers): JsonFault | undefined {
    const { level } = this;
    switch (char) {
      case COMMA:
        if (level?.isArray === true) (level.at as number)++;
        else if (level !== undefined) level.isAtKey = true;
        this.at++;
        return undefined;
      case COLON:
        this.at++;
        return undefined;
      case CLOSE_ARRAY:
      case CLOSE_OBJECT:
        this.levels.pop();
        this.level = this.levels.at(-1);
        this.at++;
        this.endValue();
        return undefined;
      case QUOTE: {
        if (level?.isAtKey === true) return this.passKey(level);
        this.beginValue();
        const hasLone = this.passString();
        if (hasLone) return this.fault(LONE_SURROGATE);
        this.endValue();
        return undefined;
      }
      case OPEN_ARRAY:
      case OPEN_OBJECT:
        return this.enter(char === OPEN_ARRAY, root, carried);
      default:
        if (char <= SPACE) this.passSpace();
        else {
          this.beginValue();
          this.passScalar();
          this.endValue();
        }
        return undefined;
    }
  }

  private enter(isArray: boolean, root: unknown, carried: CarriedMembers): JsonFault | undefined {
    const { level, isChecked } = this;
    this.beginValue();
    const isCarried = this.from !== -1;
    if (isChecked && this.levels.length - (isCarried ? this.carriedDepth : 0) === MAX_JSON_DEPTH)
      return this.fault(TOO_DEEP);
    const below = level === undefined ? carried : isCarried ? undefined : membersBelow(level);
    const parsed = level === undefined ? root : level.parsed?.[level.at];
    this.level = {
      isArray,
      carried: below,
      parsed: below === undefined ? undefined : (parsed as Level['parsed']),
      keys: isChecked && !isArray ? new Set() : undefined,
      at: isArray ? 0 : '',
      isAtKey: !isArray,
    };
    this.levels.push(this.level);
    this.at++;
    return undefined;
  }

  private passKey(level: Level): JsonFault | undefined {
    const start = this.at;
    const hasLone = this.passString();
    const written = this.text.slice(start + 1, this.at - 1);
    const key = written.includes('\\') ? (JSON.parse(`"${written}"`) as string) : written;
    level.isAtKey = false;
    const parent = this.levels.at(-2);
    level.at = key;
    const { keys } = level;
    if (keys === undefined) return undefined;
    if (hasLone) return this.fault({ ...LONE_SURROGATE, found: 'half a surrogate pair in a key' });
    if (keys.has(key)) return this.fault(TWICE);
    // The other way to the prototype of all objects, in a program that merges objects. Each word alone is harmless.
    const isDangerous = key === '__proto__' || (key === 'prototype' && parent?.at === 'constructor');
    if (isDangerous) return this.fault(DANGEROUS);
    keys.add(key);
    return undefined;
  }

  /** Whether it contains half a surrogate pair; checked only where that is asked for. */
  private passString(): boolean {
    const { text, at: start } = this;
    const end = endOfString(text, start);
    this.at = end + 1;
    if (!this.isChecked) return false;
    if (this.escapeAt < start) {
      const next = text.indexOf('\\', start);
      this.escapeAt = next === -1 ? text.length : next;
    }
    if (this.escapeAt > end) return false;
    const written = text.slice(start, end + 1);
    return ESCAPED_SURROGATE.test(written) && !(JSON.parse(written) as string).isWellFormed();
  }

  private passScalar(): void {
    const { text } = this;
    while (this.at < text.length && !isDelimiter(text.charCodeAt(this.at))) this.at++;
  }

  private passSpace(): void {
    const { text, from } = this;
    if (from !== -1) this.copied += text.slice(from, this.at);
    while (this.at < text.length && text.charCodeAt(this.at) <= SPACE) this.at++;
    if (from !== -1) this.from = this.at;
  }

  private beginValue(): void {
    const { level } = this;
    if (this.from !== -1 || level?.carried === undefined) return;
    // An inherited property is never `true`.
    if (level.carried[level.isArray ? '*' : level.at] !== true) return;
    this.from = this.at;
    this.copied = '';
    this.carriedDepth = this.levels.length;
  }

  private endValue(): void {
    if (this.from === -1 || this.levels.length !== this.carriedDepth) return;
    const { level } = this;
    const text = this.copied + this.text.slice(this.from, this.at);
    if (level?.parsed !== undefined) level.parsed[level.at] = new JsonText(text);
    this.from = -1;
  }

  private fault(what: Omit<JsonFault, 'field'>): JsonFault {
    // The path goes into our own answers, whose readers may refuse half a pair too.
    const path = this.levels
      .map(({ at }) => at)
      .join('.')
      .toWellFormed();
    return {
      field: path.length <= MAX_FIELD_CHARS ? path : `${path.slice(0, MAX_FIELD_CHARS).toWellFormed()}…`,
      ...what,
    };
  }
}

/** The path appears in answers and logs, and the sender chooses its keys. */
const MAX_FIELD_CHARS = 200;
const ESCAPED_SURROGATE = /\\u[dD]/;
const LONE_SURROGATE = { found: 'half a surrogate pair', wanted: 'well-formed Unicode, without lone surrogates' };
const TWICE = { found: 'this key twice', wanted: 'each key once' };
const DANGEROUS = { found: 'a key that changes what objects are made of', wanted: 'another key' };
const TOO_DEEP = {
  found: 'a value nested too deeply',
  wanted: `at most ${MAX_JSON_DEPTH} levels of arrays and objects`,
};

function membersBelow({ carried, isArray, at }: Level): CarriedMembers | undefined {
  const name = isArray ? '*' : at;
  const members = carried !== undefined && Object.hasOwn(carried, name) ? carried[name] : undefined;
  return members === true ? undefined : members;
}

function isDelimiter(char: number): boolean {
  return char === COMMA || char === CLOSE_ARRAY || char === CLOSE_OBJECT || char <= SPACE;
}
