import type { z } from 'zod';
import { closestName } from './closest-name.js';
import { describeValue } from './describe-value.js';
import type { InputProblem } from './errors.js';
import { inOurWords } from './wanted.js';

/** Checks bodies from outside, and reports for each fault the field, what was found and what was wanted. */

/** JSON can be nested too deeply for a recursive check: then the result is `undefined`, never an exception. */
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
  /** Known fields of the body, and of its groups by their names. */
  readonly known: readonly [top: readonly string[], below: Readonly<Record<string, readonly string[]>>];
  /** Fields with any JSON: only these can be nested too deeply for a check. */
  readonly json: readonly string[];
  /** Top-level fields of later versions: refused by name, since ignoring one would change what was asked for. */
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

/**
 * For a union: the problems of the one form that the value has. When no form or two forms fit, the general problem says more.
 */
function meantOption({ errors }: z.core.$ZodIssueInvalidUnion): z.core.$ZodIssue[] | undefined {
  const isOther = (issue: z.core.$ZodIssue): boolean => issue.code === 'invalid_type' && issue.path.length === 0;
  const meant = errors.filter((issues) => !issues.some(isOther));
  return meant.length === 1 ? meant[0] : undefined;
}

/** The value at a path; an issue about the whole body may point at one of its fields. */
function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], body);
}
