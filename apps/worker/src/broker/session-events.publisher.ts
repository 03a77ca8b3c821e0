import { sessionNames, type LaneEvent, type Names, type SessionTokens, type TurnStartedEvent } from '#contracts';
import type { BrokerConnection } from '#jetstream';
import { withoutCause, type SessionLog } from './session-log.js';

/** Events of a message that waits and is not decided yet. */
const WAITING: ReadonlySet<LaneEvent['type']> = new Set([
  'message-queued',
  'message-dequeued',
  'message-debouncing',
  'message-debounce-reset',
]);

const OF_TURNS: ReadonlySet<LaneEvent['type']> = new Set(['turn-ended', 'turn-retrying', 'turn-split']);

/**
 * Bound for announced turns that never end here because another worker ended them. Without it they would fill the
 * memory.
 */
const MAX_ANNOUNCED = 10_000;

/**
 * Publishes the events of a session and does not wait for the broker. The records are the source of truth. While the
 * broker is away events are dropped: they would be sent long after they happened.
 */
export class SessionEvents {
  private readonly announced = new Set<string>();

  constructor(
    private readonly connection: BrokerConnection,
    private readonly names: Names,
    private readonly log: Pick<SessionLog, 'tell' | 'flush'>,
  ) {}

  /**
   * Publishes `turn-started`. After a crash, the next owner reads the last one of a session to learn which batch had
   * begun. Concurrent turns do not need it, so theirs go to the subject of message events.
   */
  announce(key: SessionTokens, event: TurnStartedEvent, isConcurrent: boolean): void {
    this.announced.add(event.runId);
    const [oldest] = this.announced;
    if (this.announced.size > MAX_ANNOUNCED && oldest !== undefined) this.announced.delete(oldest);
    const { names } = this;
    const concurrent = isConcurrent ? { concurrent: true } : {};
    const subject = isConcurrent ? names.messageEventsSubject(key) : names.turnEventsSubject(key);
    this.publish(subject, { ...event, ...sessionOf(key), ...concurrent });
  }

  /** Whether `turn-started` was published for this run. Then its end is published too. */
  wasAnnounced(runId: string): boolean {
    return this.announced.has(runId);
  }

  /**
   * Decisions become stored events. Events of waiting messages are only logged: storing them would cost as much as the
   * messages. For the same reason, a turn that succeeded for all its messages is published only if its start was.
   */
  tell(key: SessionTokens, event: LaneEvent, at: number): void {
    if (event.type === 'turn-split') this.announced.delete(event.runId);
    if (event.type === 'turn-ended' && !this.announced.delete(event.runId) && isGoodEnd(event)) return;
    const isOfTurn = OF_TURNS.has(event.type) && !('concurrent' in event);
    this.log.tell(key, event);
    if (WAITING.has(event.type)) return;
    // The last event on the turn's subject must be about the serial turn. Events of messages and of concurrent turns
    // must not hide it.
    const subject = isOfTurn ? this.names.turnEventsSubject(key) : this.names.messageEventsSubject(key);
    this.publish(subject, { ...withoutCause(event), ...sessionOf(key), at });
  }

  /** No more events follow. */
  close(): void {
    this.log.flush();
  }

  private publish(subject: string, event: object): void {
    if (this.connection.isUp) this.connection.nc.publish(subject, JSON.stringify(event));
  }
}

/** `lockKey` is the Chat SDK's name of the session. */
function sessionOf(key: SessionTokens): { agent: string; session: string; lockKey: string } {
  const { agent, session } = sessionNames(key);
  return { agent, session, lockKey: session };
}

/** A turn can succeed although its agent failed some of its messages. */
function isGoodEnd({ status, messages }: Extract<LaneEvent, { type: 'turn-ended' }>): boolean {
  return status === 'succeeded' && messages.every(({ decision }) => decision !== 'dead');
}
