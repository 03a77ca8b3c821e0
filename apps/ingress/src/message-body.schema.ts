import type { ApiBodyOptions } from '@nestjs/swagger';
import { z } from 'zod';
import { sendMessageBody } from '#contracts';

type BodySchema = Extract<ApiBodyOptions, { schema: unknown }>['schema'];

/** The schema that checks a body is the one that documents it. */
export const messageBodySchema = z.toJSONSchema(sendMessageBody, {
  io: 'input',
  target: 'openapi-3.0',
  unrepresentable: 'any',
  // `data` is any JSON, which the schema language says by saying nothing.
  override: ({ zodSchema, jsonSchema }) => {
    if (zodSchema._zod.def.type === 'lazy') for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
  },
}) as BodySchema;
