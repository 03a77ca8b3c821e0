import { z } from 'zod';
import { AGENT_NAME_PATTERN, type LockScope, type QueueSettings } from '#contracts';
import { headersField, type HeaderValue } from './agent-headers.js';
import { duration, group, integer, text } from '../field-checks.js';
import { onLockConflict, queueingFields } from '../queueing/queue-fields.js';
import { taskFrom, type TaskFromSettings } from './task-fields.js';

/** Every setting of an agent, and the settings as services see them. */

/** How its turns run. */
export const turnFields = {
  /** Name of the `@OnTurn` handler - default: unset = the handler that has the agent's own name. */
  handler: text(AGENT_NAME_PATTERN, 'a handler name: a-z 0-9 _ -, at most 64 characters').optional(),
  /** Where the agent is called over HTTP, may contain `user:password@` - default: unset = a handler in the worker. */
  url: z
    .url({ protocol: /^https?$/, error: 'an http:// or https:// URL' })
    .max(2048, 'a URL of at most 2048 characters')
    .optional(),
  /** Signs the requests to `url` (HMAC-SHA256) - default: unset = unsigned. */
  secret: z.string('a text').min(16, 'at least 16 characters').max(1024, 'at most 1024 characters').optional(),
  /** Sent with each request to `url`, in addition to our own: texts, `{env: NAME}` or `{file: path}` - default none. */
  headers: headersField.optional(),
  /** How long an event stream of the agent may be silent, comments count - ms - default 120000 (2 min). */
  streamIdleMs: duration(10).optional(),
  /** How long one attempt of a turn may last - ms - default 300000 (5 min). Then it is aborted. */
  turnTimeoutMs: duration(10).optional(),
  /** The same in seconds, under the name that OpenClaw uses. */
  sessionTimeout: z
    .number('seconds')
    .min(0.01, 'seconds from 0.01 to 86400')
    .max(86_400, 'seconds from 0.01 to 86400')
    .optional(),
  /** How long an aborted handler may take to stop - ms - default 5000. Then the session continues without it. */
  abortGraceMs: duration(0).optional(),
  /** Attempts until a turn is dead - default 3 - 1 = no retry. */
  maxAttempts: integer(1, 1_000, 'a whole number from 1 to 1000').optional(),
  /** Pause before the second attempt; doubles with each further one - ms - default 1000. */
  backoffInitialMs: duration(0).optional(),
  /** Longest pause between attempts - ms - default 30000. */
  backoffMaxMs: duration(0).optional(),
  /** How many waiting messages of a session are kept in memory; the others are read again - messages - default 512. */
  laneBuffer: integer(1, 100_000, 'a whole number of messages from 1 to 100000').optional(),
  /**
   * How long in total "later" may postpone a turn (an agent that cannot be reached, 429, 503, RetryLaterError), and how long a
   * failed turn may be asked to wait - ms - default 3600000 (1 h).
   */
  retryLaterMaxMs: duration(0).optional(),
  /** Which messages start a task without naming one - default: unset = none. */
  taskFrom: taskFrom.optional(),
};

export const agent = group({ ...turnFields, ...queueingFields, onLockConflict });
export type AgentInput = z.output<typeof agent>;

/** How an agent's turns run, defaults filled in. */
export interface TurnSettings {
  readonly handler?: string | undefined;
  readonly url?: string | undefined;
  readonly secret?: string | undefined;
  readonly headers?: Readonly<Record<string, HeaderValue>> | undefined;
  readonly streamIdleMs: number;
  readonly turnTimeoutMs: number;
  readonly abortGraceMs: number;
  readonly maxAttempts: number;
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
  readonly retryLaterMaxMs: number;
  readonly laneBuffer: number;
  readonly taskFrom?: TaskFromSettings | undefined;
}

/** How the messages of an agent wait, defaults filled in. */
export interface ChannelSettings {
  readonly queueing: QueueSettings;
  /** For messages that name no session; undefined = by the platform. */
  readonly lockScope?: LockScope | undefined;
}

/** An agent as services see it. */
export interface AgentSettings extends TurnSettings, ChannelSettings {
  /** A secret that the installation has for this agent and this process lacks: it must not call the agent without it. */
  readonly lacks?: string | undefined;
  /** Configured platforms by name, merged over the agent's settings. Has no prototype: platform names come from outside. */
  readonly channels: Readonly<Record<string, ChannelSettings>>;
}

export const TURN_DEFAULTS: TurnSettings = {
  streamIdleMs: 120_000,
  turnTimeoutMs: 300_000,
  abortGraceMs: 5_000,
  maxAttempts: 3,
  backoffInitialMs: 1_000,
  backoffMaxMs: 30_000,
  retryLaterMaxMs: 3_600_000,
  laneBuffer: 512,
};
