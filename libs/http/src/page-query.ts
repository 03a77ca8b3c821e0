import { showValue } from '#contracts';
import { inputProblem } from './problem.exception.js';

/** Reads the query of a list. Each read throws a 400 that names the field, or answers the clean value. */

export const DEFAULT_LIMIT = 20;
export const MAX_LIMIT = 200;

export function readLimit(limit: unknown): number {
  if (limit === undefined) return DEFAULT_LIMIT;
  const value = typeof limit === 'string' && /^\d{1,4}$/.test(limit) ? Number(limit) : 0;
  if (value < 1 || value > MAX_LIMIT) {
    throw inputProblem(400, [
      { field: 'limit', found: showValue(limit), wanted: `a whole number from 1 to ${MAX_LIMIT}` },
    ]);
  }
  return value;
}

/** Where a page begins: the `next` of the page before. */
export function readCursor(after: unknown): number {
  if (after === undefined) return 0;
  if (typeof after === 'string' && /^\d{1,15}$/.test(after)) return Number(after);
  const wanted = 'the number `next` of the page before';
  throw inputProblem(400, [{ field: 'after', found: showValue(after), wanted }]);
}

/** A query field that may be given once at most. */
export function oneText(field: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw inputProblem(400, [{ field, found: showValue(value), wanted: 'one text' }]);
}
