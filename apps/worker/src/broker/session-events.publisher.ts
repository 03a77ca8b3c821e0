import { sessionNames, type LaneEvent, type Names, type SessionTokens, type TurnStartedEvent } from '#contracts';
import type { BrokerConnection } from '#jetstream';
import { withoutCause, type SessionLog } from './session-log.js';

/** What happens to a message before anything is decided about it. */
const WAITING: ReadonlySet<LaneEvent['type']> = new Set([
  'message-queued',
  'message-dequeued',
  'message-debouncing',
  'message-debounce-reset',
]);

const OF_TURNS: ReadonlySet<LaneEvent['type']> = new Set(['turn-ended', 'turn-retrying', 'turn-split']);

/** Turns that said that they began and never end here, as somebody else has ended them, must not fill the memory. */
const MAX_ANNOUNCED = 10_000;

/**
 * Tells what happens in a session to whoever reads its events, unawaited: the records are the truth, and without a broker
 * an event would only lie in the send buffer until long after what it tells.
 */
export class SessionEvents {
  private readonly announced = new Set<string>();

  constructor(
    private readonly connection: BrokerConnection,
    private readonly names: Names,
    private readonly log: Pick<SessionLog, 'tell' | 'flush'>,
  ) {}

  /** The last of these of a session is what its next owner learns of a turn that was cut; of those beside others it knows without. */
  announce(key: SessionTokens, event: TurnStartedEvent, isConcurrent: boolean): void {
    this.announced.add(event.runId);
    const [oldest] = this.announced;
    if (this.announced.size > MAX_ANNOUNCED && oldest !== undefined) this.announced.delete(oldest);
    const { names } = this;
    const concurrent = isConcurrent ? { concurrent: true } : {};
    const subject = isConcurrent ? names.messageEventsSubject(key) : names.turnEventsSubject(key);
    this.publish(subject, { ...event, ...sessionOf(key), ...concurrent });
  }

  /** Whether the turn has said that it began: then its end is told too. */
  wasAnnounced(runId: string): boolean {
    return this.announced.has(runId);
  }

  /**
   * Stored is what was decided; that a message waits, and no more, is logged alone: an event for each of these would cost as
   * much as the messages. Of turns that ended well for all of their messages only those are told that said that they began, for the same reason.
   */
  tell(key: SessionTokens, event: LaneEvent, at: number): void {
    if (event.type === 'turn-split') this.announced.delete(event.runId);
    if (event.type === 'turn-ended' && !this.announced.delete(event.runId) && isGoodEnd(event)) return;
    const isOfTurn = OF_TURNS.has(event.type) && !('concurrent' in event);
    this.log.tell(key, event);
    if (WAITING.has(event.type)) return;
    // What is not about a turn, or about one beside others, must not hide the last word about the one in turn.
    const subject = isOfTurn ? this.names.turnEventsSubject(key) : this.names.messageEventsSubject(key);
    this.publish(subject, { ...withoutCause(event), ...sessionOf(key), at });
  }

  /** Nothing more is told. */
  close(): void {
    this.log.flush();
  }

  private publish(subject: string, event: object): void {
    if (this.connection.isUp) this.connection.nc.publish(subject, JSON.stringify(event));
  }
}

/** `lockKey` is the Chat SDK's word for the session. */
function sessionOf(key: SessionTokens): { agent: string; session: string; lockKey: string } {
  const { agent, session } = sessionNames(key);
  return { agent, session, lockKey: session };
}

/** An agent may have decided that some of its messages failed. */
function isGoodEnd({ status, messages }: Extract<LaneEvent, { type: 'turn-ended' }>): boolean {
  return status === 'succeeded' && messages.every(({ decision }) => decision !== 'dead');
}
