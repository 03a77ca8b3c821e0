import { sessionNames, type Clock, type DescribedError, type LaneEvent, type SessionTokens } from '#contracts';
import type { Logger } from '#telemetry';
import { BurstLog } from './burst-log.js';

export interface SessionLogOptions {
  readonly log: Logger;
  readonly clock: Pick<Clock, 'monotonic' | 'after'>;
  /** Whether a line may show texts of agents and handlers. They may repeat what people wrote. */
  readonly hasContents: boolean;
}

/**
 * Log lines about sessions. Events that may need an operator are warnings. All others are for debugging.
 *
 *   warn   a turn ended dead; a turn failed and runs again; a message was rejected; an agent failed a message
 *   info   a message was dropped or expired, as the settings say
 *   debug  everything else
 */
export class SessionLog {
  private readonly dead: BurstLog;
  private readonly deadByVerdict: BurstLog;
  private readonly again: BurstLog;
  private readonly rejected: BurstLog;
  private readonly dropped: BurstLog;
  private readonly expired: BurstLog;

  constructor(private readonly options: SessionLogOptions) {
    const { log, clock } = options;
    const burst = (level: 'info' | 'warn', message: string): BurstLog => new BurstLog({ log, clock, level, message });
    this.dead = burst('warn', 'turn ended dead');
    this.deadByVerdict = burst('warn', 'message ended dead');
    this.again = burst('warn', 'turn failed and runs again');
    this.rejected = burst('warn', 'message rejected');
    this.dropped = burst('info', 'message dropped');
    this.expired = burst('info', 'message expired');
  }

  tell(key: SessionTokens, event: LaneEvent): void {
    switch (event.type) {
      case 'turn-ended':
        if (event.status === 'failed' || event.status === 'timed_out') return this.tellDead(key, event);
        if (event.failed !== undefined) this.tellDeadByVerdict(key, event);
        break;
      case 'turn-retrying':
        // Without a cause, the worker's stop or a handoff cut the turn. That is logged elsewhere.
        if (event.cause !== undefined && event.notBefore !== undefined) {
          const { runId, attempt, notBefore, cause } = event;
          const nextAt = new Date(notBefore).toISOString();
          return this.line(this.again, key, { runId, nextAttempt: attempt, nextAt, ...this.describe(cause) });
        }
        break;
      case 'message-rejected':
        return this.tellDecided(this.rejected, key, event);
      case 'message-dropped':
        return this.tellDecided(this.dropped, key, event);
      case 'message-expired':
        return this.tellDecided(this.expired, key, event);
      default:
    }
    // One small object, because this level is usually off. It has no text of an agent.
    this.options.log.debug({ key, event: withoutCause(event) }, event.type);
  }

  /** Writes the pending summary lines. Call it after the last event. */
  flush(): void {
    for (const burst of [this.dead, this.deadByVerdict, this.again, this.rejected, this.dropped, this.expired])
      burst.flush();
  }

  private tellDead(key: SessionTokens, event: TurnEnded): void {
    const { runId, attempt, status, messages, cause } = event;
    const messageIds = messages.slice(0, MAX_IDS).map(({ id }) => id);
    this.line(this.dead, key, { runId, attempt, status, messageIds, ...this.describe(cause) });
  }

  private tellDeadByVerdict(key: SessionTokens, { runId, failed = [], messages }: TurnEnded): void {
    for (const { seq, error } of failed) {
      const messageId = messages.find((message) => message.seq === seq)?.id;
      this.line(this.deadByVerdict, key, { runId, messageId, seq, ...this.describe(error) });
    }
  }

  private tellDecided(burst: BurstLog, key: SessionTokens, event: DecidedEvent): void {
    const { messageId, seq, reason } = event;
    this.line(burst, key, { messageId, seq, reason });
  }

  private line(burst: BurstLog, key: SessionTokens, fields: object): void {
    const { agent, session } = sessionNames(key);
    burst.line(`${agent}/${session}`, { agent, session, ...fields });
  }

  /** Name and status are from us. The message and the excerpt are texts of a handler or an agent. */
  private describe({ name, status, message, excerpt }: DescribedError = UNKNOWN): object {
    const answered = status === undefined ? {} : { agentStatus: status };
    if (!this.options.hasContents) return { error: name, ...answered };
    return { error: name, ...answered, said: message, ...(excerpt === undefined ? {} : { excerpt }) };
  }
}

type TurnEnded = Extract<LaneEvent, { type: 'turn-ended' }>;

interface DecidedEvent {
  readonly messageId: string;
  readonly seq: number;
  readonly reason?: string;
}

const MAX_IDS = 10;
const UNKNOWN: DescribedError = { name: 'unknown', message: '' };

/** The event without texts of agents and handlers, safe for every reader. */
export function withoutCause(event: LaneEvent): LaneEvent {
  if (event.type === 'turn-retrying' && event.cause !== undefined) {
    const { cause: _said, ...told } = event;
    return told;
  }
  if (event.type !== 'turn-ended' || (event.cause === undefined && event.failed === undefined)) return event;
  const { cause: _said, failed: _verdicts, ...told } = event;
  return told;
}
