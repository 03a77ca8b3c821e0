import type { z } from 'zod';

/**
 * What a check wanted, where the check itself does not say it: replaces zod's own texts, which are for programmers.
 * Pass it to each parse whose problems people read; the text of a field's own check comes first.
 */
export const inOurWords: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type':
      return TYPES[issue.expected] ?? `a value of type ${issue.expected}`;
    case 'invalid_value':
      return issue.values.length === 1 ? shown(issue.values[0]) : `one of ${issue.values.map(shown).join(', ')}`;
    case 'too_small':
      return Number(issue.minimum) === 1 && issue.origin !== 'number' && issue.origin !== 'int'
        ? `${SIZED[issue.origin] ?? 'a value'} that is not empty`
        : bound(issue.origin, 'at least', issue.minimum);
    case 'too_big':
      return bound(issue.origin, 'at most', issue.maximum);
    case 'invalid_format':
      return FORMATS[issue.format] ?? 'a text of another form';
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'unrecognized_keys':
      return `no field called ${issue.keys.slice(0, 10).join(', ')}`;
    case 'invalid_key':
      return 'other names of fields';
    default:
      return 'a value of another form';
  }
};

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'a list',
  tuple: 'a list',
  null: 'null',
  undefined: 'nothing',
};

/** Kinds whose size can be wrong. */
const SIZED: Readonly<Record<string, string>> = { string: 'a text', array: 'a list', object: 'an object' };
const UNITS: Readonly<Record<string, string>> = { string: 'characters', array: 'entries', object: 'fields' };

const FORMATS: Readonly<Record<string, string>> = {
  url: 'an http:// or https:// URL',
  datetime: 'a date and time with its zone, such as 2026-11-21T12:00:00Z',
};

function bound(origin: string, how: 'at least' | 'at most', size: number | bigint): string {
  const what = SIZED[origin];
  return what === undefined ? `a number of ${how} ${size}` : `${what} of ${how} ${size} ${UNITS[origin]}`;
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
