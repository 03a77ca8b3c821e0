import { z } from 'zod';
import { duration, group } from './field-checks.js';

/** The groups `agent` and `sessions` in the words of the concurrency guide for agents; they hold for all agents. */

export const guideConcurrency = group({
  /** One turn of a session at a time is what Lanekeeper is for, so no other number would be true. */
  max_concurrent_per_session: z.literal(1, '1: the turns of a session never overlap').optional(),
  /** `queueTimeoutMs`. */
  queue_timeout_ms: duration(1).optional(),
  /** `overflowAction: busy-message`. */
  overflow_action: z
    .literal('return_busy_message', 'return_busy_message (to say nothing, set agents.defaults.overflowAction: silent)')
    .optional(),
});

export const guideAgent = group({ concurrency: guideConcurrency.optional() });

export const guideSessions = group({
  /** Sessions never share state here, and each has a state of its own. */
  isolation: z.literal('strict', 'strict: sessions never share their state').optional(),
  storage: z.literal('per_session', 'per_session: each session has a state of its own').optional(),
  /** `lockScope: user`. */
  id_source: z.literal('user_id', 'user_id (for threads and channels, set lockScope)').optional(),
});
