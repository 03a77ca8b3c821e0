import type { z } from 'zod';
import type { DeepReadonly } from '../deep-readonly.js';
import { checkBody, type FieldNames } from '../errors/body-check.js';
import type { InputProblem } from '../errors/errors.js';

/**
 * What the routes for operators answer is written once, as the schemas of this folder: services return their types, the
 * OpenAPI document shows them, and clients check with them what they are answered.
 */
export type Answer<Schema extends z.ZodType> = DeepReadonly<z.output<Schema>>;

export type CheckedAnswer<Schema extends z.ZodType> =
  | { readonly ok: true; readonly answer: Answer<Schema> }
  | { readonly ok: false; readonly problems: readonly InputProblem[] };

/** An answer may have more fields than its reader knows: none is refused by its name. */
const ANY_NAMES: FieldNames = { known: [[], {}], json: [] };

/**
 * Checks an answer that came from a service. It is handed on as it came, not as the schema would write it: fields of a later
 * version stay, in their order.
 */
export function checkAnswer<Schema extends z.ZodType>(schema: Schema, answer: unknown): CheckedAnswer<Schema> {
  const checked = checkBody<unknown>(schema, answer, ANY_NAMES);
  return checked.ok ? { ok: true, answer: answer as Answer<Schema> } : { ok: false, problems: checked.problems };
}
