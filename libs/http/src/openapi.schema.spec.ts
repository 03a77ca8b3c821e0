import { expect, it } from 'vitest';
import { z } from 'zod';
import { documentAnswer, documentBody, LIMIT_QUERY } from './openapi.schema.js';
import { readLimit } from './page-query.js';

it('a body is documented as it may be sent, an answer as one that may have further fields', () => {
  const group = { properties: { a: { type: 'number', description: 'b' } }, required: ['a'] };
  const a = z.number().describe('b');
  expect(documentBody(z.strictObject({ a }))).toEqual({ type: 'object', ...group, additionalProperties: false });
  expect(documentAnswer(202, 'c', z.object({ a }))).toEqual({
    ...{ status: 202, description: 'c' },
    schema: { type: 'object', ...group },
  });
});

it('the limit of a list is documented as it is read', () => {
  const { schema } = LIMIT_QUERY as { schema: { minimum: number; maximum: number; default: number } };
  expect([readLimit(`${schema.minimum}`), readLimit(`${schema.maximum}`)]).toEqual([1, 200]);
  expect(readLimit(undefined)).toBe(schema.default);
  expect(() => readLimit(`${schema.minimum - 1}`)).toThrow();
  expect(() => readLimit(`${schema.maximum + 1}`)).toThrow();
});
