import type { z } from 'zod';
import { checkAnswer, describeProblem, LanekeeperError, type Answer } from '#contracts';

/** What a service answered, when it is what the route answers by its schema. */
export function expectAnswer<Schema extends z.ZodType>(schema: Schema, answer: unknown): Answer<Schema> {
  const checked = checkAnswer(schema, answer);
  if (checked.ok) return checked.answer;
  const [first, ...others] = checked.problems;
  const more = others.length === 0 ? '' : ` (and ${others.length} more like it)`;
  throw new LanekeeperError(
    'unexpected_answer',
    `the service answered something else than this command reads: ${first === undefined ? 'no known form' : describeProblem(first)}${more}; ` +
      'run the lanekeeper command of the version that the service has, and see that LANEKEEPER_URL leads to that service',
  );
}
