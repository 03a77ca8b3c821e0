import { z } from 'zod';
import { FULL_QUEUE_POLICIES, LOCK_SCOPES, OVERFLOW_ACTIONS, STRATEGY_WORDS, wantedStrategy } from '#contracts';
import { duration, group, integer } from '../field-checks.js';

/** Settings for messages that overlap: per agent, per channel, and for all agents under the names of other systems. */

const strategy = z.enum(STRATEGY_WORDS, { error: wantedStrategy });

const QUEUE_SIZE_WANTED = 'a whole number of messages from 1 to 100000, or "unlimited"';
const queueSize = z.union([integer(1, 100_000, QUEUE_SIZE_WANTED), z.literal('unlimited')], QUEUE_SIZE_WANTED);

/** As many turns as a lane runs at the same time; "unlimited" means this number too. */
export const MAX_CONCURRENT = 256;
const CONCURRENT_WANTED = `a whole number of turns from 1 to ${MAX_CONCURRENT}, or "unlimited" (which is ${MAX_CONCURRENT})`;
const concurrent = z.union([integer(1, MAX_CONCURRENT, CONCURRENT_WANTED), z.literal('unlimited')], CONCURRENT_WANTED);

/** A lane keeps no more bytes of its messages in memory. */
const MAX_TURN_BYTES = 1024 * 1024;

const BUSY_MESSAGE_WANTED = 'a text of 1 to 4000 characters';

const queueFields = {
  /** What happens to messages that overlap - default queue - followup = fifo. Each message may name another strategy. */
  strategy: strategy.optional(),
  /** How many messages of a session may wait besides its running turn - messages, or "unlimited" - default 10. */
  maxQueueSize: queueSize.optional(),
  /** Which message is dropped when one more comes - default drop-oldest. */
  onQueueFull: z.enum(FULL_QUEUE_POLICIES, `one of ${FULL_QUEUE_POLICIES.join(', ')}`).optional(),
  /** How long a message may wait while its session could have run it - ms - default 90000. */
  queueEntryTtlMs: duration(1).optional(),
  /** How long a message may wait in total, whatever the reason - ms - default: unset = for ever. */
  queueTimeoutMs: duration(1).optional(),
  /** Whether the sender of a dropped message is told - default busy-message. */
  overflowAction: z.enum(OVERFLOW_ACTIONS, `one of ${OVERFLOW_ACTIONS.join(', ')}`).optional(),
  /** The text that this sender gets - default: that the agent is busy, and to send the message again. */
  busyMessage: z
    .string(BUSY_MESSAGE_WANTED)
    .max(4_000, BUSY_MESSAGE_WANTED)
    .regex(/\S/, `${BUSY_MESSAGE_WANTED} (overflowAction: silent says nothing)`)
    .optional(),
  /** The quiet time of collect and debounce, and the window of burst - ms - default 1500. */
  debounceMs: duration(1).optional(),
  /** Longest wait for the quiet time, however many messages come - ms - default 10000; at least `debounceMs`. */
  maxDebounceMs: duration(1).optional(),
  /** How many turns of a session run at once with concurrent - turns, or "unlimited" = 256 - default unlimited. */
  maxConcurrent: concurrent.optional(),
  /** How long a message with a `sequence` waits for the numbers before it - ms - default 2000. Then it runs without them. */
  gapTimeoutMs: duration(1).optional(),
  /** How many waiting messages a turn takes at most; the next turn gets the others - messages - default 500, the maximum. */
  maxTurnMessages: integer(1, 500, 'a whole number of messages from 1 to 500').optional(),
  /** How many bytes of them, as stored, a turn takes at most; the oldest is always taken - bytes - default 262144 (256 KiB). */
  maxTurnBytes: integer(1, MAX_TURN_BYTES, `a whole number of bytes from 1 to ${MAX_TURN_BYTES}`).optional(),
};

/** The Chat SDK's `concurrency` in its long form. */
export const concurrency = group(queueFields);

/** The Chat SDK's `concurrency`: a strategy, or the fields as a group. */
export const concurrencyOrStrategy = z.union([strategy, concurrency], { error: wantedStrategy }).optional();

/** Which messages share a session, for messages that name none - default: unset = thread or channel, by the platform. */
export const lockScope = z.enum(LOCK_SCOPES, `one of ${LOCK_SCOPES.join(', ')}`).optional();

/** The Chat SDK's old name. `force` is accepted here only so that a rule can say why it is refused. */
export const onLockConflict = z.enum(['drop', 'force'], 'drop').optional();

export const queueingFields = {
  ...queueFields,
  /** OpenClaw's name for `maxQueueSize`. */
  cap: queueSize.optional(),
  /** OpenClaw's name for `onQueueFull`; old = drop-oldest, new = drop-newest. */
  drop: z.enum(['old', 'new', 'summarize'], 'one of old, new, summarize').optional(),
  concurrency: concurrencyOrStrategy,
  lockScope,
};

/** Settings for messages of one platform that override their agent's. */
export const channel = group(queueingFields);

/** The part of a message's `channel` before the first colon. */
export const PLATFORM_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
