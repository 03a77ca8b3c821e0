import { expect, it } from 'vitest';
import { channelBodySchema, messageBodySchema } from './message-body.schema.js';

it.each([
  ['session', messageBodySchema],
  ['channel', channelBodySchema],
])('the body of the %s route is documented as it is checked', (_route, schema) => {
  const { properties } = schema as { properties: Record<string, object> };
  expect(properties['sequence']).toMatchObject({ type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
  expect(properties['sequence']).toHaveProperty('description', expect.stringContaining('gapTimeoutMs'));
  // What may be sent, not what is stored of it.
  expect(properties['strategy']).toHaveProperty('enum', expect.arrayContaining(['concurrent', 'followup']));
});
