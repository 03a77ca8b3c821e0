import { expect } from 'vitest';
import type { z } from 'zod';

/** An answer has the fields of its schema and no others: one that the schema lacks would be missing in the OpenAPI document. */
export function expectDocumented(schema: z.ZodType, answer: unknown): void {
  expect(schema.parse(answer)).toEqual(answer);
}
