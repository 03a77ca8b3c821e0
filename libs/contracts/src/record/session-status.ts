import { z } from 'zod';
import type { DeepReadonly } from '../deep-readonly.js';

/** What the owner of a shard knows of one session: question and answer on `<ns>.rpc.shard.<n>`. */
export interface SessionQuestion {
  readonly agentToken: string;
  readonly sessionToken: string;
}

const seqs = z.array(z.number());
const run = { runId: z.string(), attempt: z.number(), seqs };
const waitingSeqs = z.object({ seqs, endsAt: z.number() });

/** Exported for the route of a session, which tells it too. */
export const sessionActivity = z.object({
  state: z
    .enum(['idle', 'queued', 'running', 'held', 'retrying', 'waiting-for-agent'])
    .describe('waiting-for-agent: the owner of its shard does not have its agent'),
  depth: z.number().describe('Undecided messages that wait; those of the running turn are not among them'),
  oldestMs: z.number().nullable().describe('Age of the oldest waiting message - ms; null when none waits'),
  running: z.object({ ...run, startedAt: z.number() }).optional(),
  retry: z
    .object({ ...run, notBefore: z.number() })
    .describe('The next attempt of a failed turn; not before `notBefore`, ms since the epoch')
    .optional(),
  concurrent: z
    .array(z.object({ ...run, startedAt: z.number().optional(), notBefore: z.number().optional() }))
    .describe(
      'Turns of `concurrent` messages: those that run, and those that come again (`notBefore`, ms since the epoch)',
    )
    .optional(),
  window: waitingSeqs
    .describe('A quiet or fixed time in which nothing begins; over at `endsAt`, ms since the epoch')
    .optional(),
  early: waitingSeqs
    .describe(
      'Numbered messages that came before the numbers in front of them; they wait until `endsAt` at the latest, ms since the epoch',
    )
    .optional(),
});

export interface SessionAnswer extends DeepReadonly<z.output<typeof sessionActivity>> {
  /** Keys of tasks that its runs hold; absent = none. */
  readonly tasks?: readonly string[];
  readonly worker: string;
}
