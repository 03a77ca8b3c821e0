import { z } from 'zod';
import { group } from '../field-checks.js';
import { PLATFORM_PATTERN, queueingFields } from './queue-fields.js';

/** The group `messages.queue` under the names of OpenClaw; it applies to all agents. */

const MODES = ['followup', 'collect', 'steer-backlog', 'steer+backlog'] as const;

/** In OpenClaw `steer-backlog` and `steer+backlog` are old names of `followup`. */
export const MODE_ALIASES: Readonly<Record<string, string>> = { 'steer-backlog': 'fifo', 'steer+backlog': 'fifo' };

const OTHERS: Readonly<Record<string, string>> = {
  steer: 'steer comes in a later version',
  interrupt: 'interrupt comes in a later version',
  queue:
    'in OpenClaw it is an old name of steer, which comes in a later version; ours is agents.defaults.strategy: queue',
};

const mode = z.enum(MODES, {
  error: ({ input }) => {
    const other = typeof input === 'string' && Object.hasOwn(OTHERS, input) ? `: ${OTHERS[input]}` : '';
    return `one of ${MODES.join(', ')}${other}`;
  },
});

const { cap, drop, debounceMs } = queueingFields;

export const openclawQueue = group({
  /** `strategy`. */
  mode: mode.optional(),
  /** `channels.<platform>.strategy`, by platform. */
  byChannel: z
    .record(z.string().regex(PLATFORM_PATTERN), mode, 'a group of platforms, each name with its mode')
    .optional(),
  debounceMs,
  /** `maxQueueSize`. */
  cap,
  /** `onQueueFull`. */
  drop,
});

export const openclawMessages = group({ queue: openclawQueue.optional() });
