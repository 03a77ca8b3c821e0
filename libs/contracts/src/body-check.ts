import type { z } from 'zod';
import { closestName } from './closest-name.js';
import { describeValue } from './describe-value.js';
import type { InputProblem } from './errors.js';

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
  /** At the top, and in the groups below it. */
  readonly known: readonly [top: readonly string[], below: readonly string[]];
  /** Fields of later versions at the top: refused by name, since ignoring one would change what was asked for. */
  readonly later?: readonly string[];
}

export function checkBody<Body>(schema: z.ZodType<Body>, body: unknown, fields: FieldNames): CheckedBody<Body> {
  const parsed = parseShallow(() => schema.safeParse(body));
  if (parsed === undefined) {
    const problem = { field: 'data', found: 'a value nested too deeply', wanted: 'fewer levels of arrays and objects' };
    return { ok: false, problems: [problem], tooLarge: false };
  }
  if (parsed.success) return { ok: true, body: parsed.data };
  const problems = parsed.error.issues.flatMap((issue) => toProblems(issue, body, fields));
  const tooLarge = parsed.error.issues.every((issue) => issue.code === 'custom' && issue.params?.['tooLarge'] === true);
  return { ok: false, problems, tooLarge };
}

function toProblems(issue: z.core.$ZodIssue, body: unknown, { known, later = [] }: FieldNames): InputProblem[] {
  const field = issue.path.join('.') || 'body';
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const isTop = issue.path.length === 0;
      const path = isTop ? key : `${field}.${key}`;
      if (isTop && later.includes(key)) {
        return { field: path, found: 'a value', wanted: 'no such field in this version', remedy: `leave ${key} out` };
      }
      const names = isTop ? known[0] : known[1];
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

/** What stands at a path; an issue about the whole body may point at one field of it. */
function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], body);
}
