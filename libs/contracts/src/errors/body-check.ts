import type { z } from 'zod';
import { closestName } from './closest-name.js';
import { describeValue } from './describe-value.js';
import type { InputProblem } from './errors.js';
import { inOurWords } from './wanted.js';

/** Checks bodies that came from outside, and says of each fault which field it is, what was found and what was wanted. */

/** JSON can be nested deeper than a recursive check can follow: `undefined` then, never a throw. */
export function parseShallow<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

export interface BodyProblems {
  readonly problems: InputProblem[];
  /** True when the only fault is size (413 rather than 422). */
  readonly tooLarge: boolean;
}

export type CheckedBody<Body> = { ok: true; body: Body } | ({ ok: false } & BodyProblems);

export interface FieldNames {
  /** At the top, and in the groups below it by their names. */
  readonly known: readonly [top: readonly string[], below: Readonly<Record<string, readonly string[]>>];
  /** Fields that hold any JSON: only these can be nested deeper than a check can follow. */
  readonly json: readonly string[];
  /** Fields of later versions at the top: refused by name, since ignoring one would change what was asked for. */
  readonly later?: readonly string[];
}

export function checkBody<Body>(schema: z.ZodType<Body>, body: unknown, fields: FieldNames): CheckedBody<Body> {
  const parsed = parseShallow(() => schema.safeParse(body, { error: inOurWords }));
  if (parsed === undefined) {
    const problem = { found: 'a value nested too deeply', wanted: 'fewer levels of arrays and objects' };
    return { ok: false, problems: [{ field: deepField(body, fields), ...problem }], tooLarge: false };
  }
  if (parsed.success) return { ok: true, body: parsed.data };
  const problems = parsed.error.issues.flatMap((issue) => toProblems(issue, body, fields));
  const tooLarge = parsed.error.issues.every((issue) => issue.code === 'custom' && issue.params?.['tooLarge'] === true);
  return { ok: false, problems, tooLarge };
}

function deepField(body: unknown, { json }: FieldNames): string {
  const given = json.filter((field) => typeof valueAt(body, [field]) === 'object');
  return given.join(', ') || 'body';
}

function toProblems(issue: z.core.$ZodIssue, body: unknown, fields: FieldNames): InputProblem[] {
  const meant = issue.code === 'invalid_union' ? meantOption(issue) : undefined;
  if (meant !== undefined) {
    return meant.flatMap((inner) => toProblems({ ...inner, path: [...issue.path, ...inner.path] }, body, fields));
  }
  const { known, later = [] } = fields;
  const field = issue.path.join('.') || 'body';
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const isTop = issue.path.length === 0;
      const path = isTop ? key : `${field}.${key}`;
      if (isTop && later.includes(key)) {
        return { field: path, found: 'a value', wanted: 'no such field in this version', remedy: `leave ${key} out` };
      }
      const names = isTop ? known[0] : (known[1][field] ?? []);
      const close = closestName(key, names);
      return {
        field: path,
        found: 'an unknown field',
        wanted: `one of ${names.join(', ')}`,
        remedy: close === undefined ? `leave ${key} out` : `did you mean ${close}?`,
      };
    });
  }
  return [{ field, found: describeValue(valueAt(body, issue.path)), wanted: issue.message }];
}

/** Of a value that may have several forms, the problems of the one that it has; of none, or of two, those of no form say more. */
function meantOption({ errors }: z.core.$ZodIssueInvalidUnion): z.core.$ZodIssue[] | undefined {
  const isOther = (issue: z.core.$ZodIssue): boolean => issue.code === 'invalid_type' && issue.path.length === 0;
  const meant = errors.filter((issues) => !issues.some(isOther));
  return meant.length === 1 ? meant[0] : undefined;
}

/** What stands at a path; an issue about the whole body may point at one field of it. */
function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], body);
}
