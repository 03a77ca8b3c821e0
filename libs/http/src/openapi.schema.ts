import type { ApiBodyOptions, ApiQueryOptions, ApiResponseOptions } from '@nestjs/swagger';
import { z } from 'zod';
import { DEFAULT_LIMIT, MAX_LIMIT } from './page-query.js';

/** What routes take and answer, as the OpenAPI document shows it. The schemas that check it are those that document it. */

export type BodySchema = Extract<ApiBodyOptions, { schema: unknown }>['schema'];

export function documentBody(schema: z.ZodType): BodySchema {
  return toOpenApi(schema) as BodySchema;
}

/** An `@ApiResponse` of a route that answers this. It does not say that an answer has no other fields: later versions have. */
export function documentAnswer(status: number, description: string, schema: z.ZodType): ApiResponseOptions {
  return { status, description, schema: toOpenApi(schema) as BodySchema };
}

/** The query of a list, as `readLimit` and `readCursor` take it. */
export const LIMIT_QUERY: ApiQueryOptions = {
  name: 'limit',
  required: false,
  description: `1 to ${MAX_LIMIT}, default ${DEFAULT_LIMIT}`,
  schema: { type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT },
};
export const CURSOR_QUERY: ApiQueryOptions = {
  name: 'after',
  required: false,
  description: '`next` of the page before',
  schema: { type: 'integer', minimum: 0, default: 0 },
};

function toOpenApi(schema: z.ZodType): object {
  return z.toJSONSchema(schema, {
    io: 'input',
    target: 'openapi-3.0',
    unrepresentable: 'any',
    // Any JSON, which the schema language says by saying nothing.
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === 'lazy') for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
    },
  });
}
