import { z } from 'zod';
import { duration, group, integer } from '../field-checks.js';
import { MAX_CONCURRENT } from './queue-fields.js';

/** The groups `agent` and `sessions` under the names of the concurrency guide for agents; they apply to all agents. */

export const guideConcurrency = group({
  /** `maxConcurrent`; more than 1 also means `strategy: concurrent`. */
  max_concurrent_per_session: integer(1, MAX_CONCURRENT, `a whole number from 1 to ${MAX_CONCURRENT}`).optional(),
  /** `queueTimeoutMs`. */
  queue_timeout_ms: duration(1).optional(),
  /** `overflowAction: busy-message`. */
  overflow_action: z
    .literal('return_busy_message', 'return_busy_message (to say nothing, set agents.defaults.overflowAction: silent)')
    .optional(),
});

export const guideAgent = group({ concurrency: guideConcurrency.optional() });

export const guideSessions = group({
  /** Sessions never share state here: each has its own. */
  isolation: z.literal('strict', 'strict: sessions never share their state').optional(),
  storage: z.literal('per_session', 'per_session: each session has a state of its own').optional(),
  /** `lockScope: user`. */
  id_source: z.literal('user_id', 'user_id (for threads and channels, set lockScope)').optional(),
});
