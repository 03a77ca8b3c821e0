import { z } from 'zod';

/** Checks that several groups of settings share. A problem report uses the text of a check as what was wanted. */

/** Node fires a timer at once when its delay does not fit into 31 bits, so durations stay far below that. */
export const LONGEST_DURATION_MS = 24 * 60 * 60 * 1000;

export const integer = (min: number, max: number, wanted: string) => z.int(wanted).min(min, wanted).max(max, wanted);

export const text = (pattern: RegExp, wanted: string) => z.string(wanted).regex(pattern, wanted);

export const duration = (min: number) =>
  integer(min, LONGEST_DURATION_MS, `whole milliseconds from ${min} to ${LONGEST_DURATION_MS}`);

export const group = <S extends z.ZodRawShape>(shape: S) =>
  z.strictObject(shape, `a group of settings (${Object.keys(shape).join(', ')})`);
