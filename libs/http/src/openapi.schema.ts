import type { ApiBodyOptions } from '@nestjs/swagger';
import { z } from 'zod';

export type BodySchema = Extract<ApiBodyOptions, { schema: unknown }>['schema'];

/** The schemas that check a body are those that document it. */
export function documentBody(schema: z.ZodType): BodySchema {
  return z.toJSONSchema(schema, {
    io: 'input',
    target: 'openapi-3.0',
    unrepresentable: 'any',
    // Any JSON, which the schema language says by saying nothing.
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === 'lazy') for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
    },
  }) as BodySchema;
}
