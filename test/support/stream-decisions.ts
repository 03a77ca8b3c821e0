import {
  parseRecord,
  sessionNames,
  type LaneEvent,
  type Names,
  type SessionRecord,
  type TurnStartedEvent,
} from '#contracts';
import { StreamReader, type BrokerConnection } from '#jetstream';

/** What the streams say about decisions: the records, which are the truth, and the events, which tell of them. */

type Told = LaneEvent & { readonly agent: string; readonly session: string; readonly lockKey: string };
type Started = TurnStartedEvent & Pick<Told, 'agent' | 'session'> & { readonly lockKey: string };
export type SessionEvent = Told | Started;

/** A decision about one message, as a record or an event says it. */
export type Decided = Record<'agent' | 'session' | 'id' | 'decision', string> & {
  readonly seq: number;
  readonly reason: string | undefined;
  readonly runId: string | undefined;
};

export interface Recorded {
  readonly agent: string;
  readonly session: string;
  readonly record: SessionRecord;
}

export async function recordsIn(connection: BrokerConnection, names: Names): Promise<Recorded[]> {
  const found: Recorded[] = [];
  for await (const { subject, data } of new StreamReader(connection).messagesOf(
    names.turnsStream,
    `${names.namespace}.turns.>`,
    1,
  )) {
    const parsed = parseRecord(Buffer.from(data).toString());
    if (!parsed.ok) throw new Error(parsed.problem);
    found.push({ ...sessionNames(names.parseSessionSubject(subject)), record: parsed.record });
  }
  return found;
}

export async function eventsIn(connection: BrokerConnection, names: Names): Promise<SessionEvent[]> {
  const found: SessionEvent[] = [];
  for await (const { data } of new StreamReader(connection).messagesOf(
    names.eventsStream,
    `${names.namespace}.events.>`,
    1,
  )) {
    found.push(JSON.parse(Buffer.from(data).toString()));
  }
  return found;
}

/** An order that is done is `handled` by a note; what it did to messages is told of them. */
export function decisionsOf({ agent, session, record }: Recorded): Decided[] {
  const runId = record.kind === 'turn' ? record.runId : undefined;
  return record.messages
    .filter(({ decision }) => record.kind === 'turn' || decision !== 'handled')
    .map(({ id, seq, decision, reason }) => ({ agent, session, id, seq, decision, reason, runId }));
}

/** A message that its turn left behind has an event of its own; the turn's tells of the others. */
export function toldBy(event: SessionEvent): Decided[] {
  const { agent, session } = event;
  switch (event.type) {
    case 'message-dropped':
    case 'message-expired':
    case 'message-cancelled':
    case 'message-rejected': {
      const { messageId: id, seq, reason } = event;
      return [{ agent, session, id, seq, decision: event.type.replace('message-', ''), reason, runId: undefined }];
    }
    case 'message-superseded':
    case 'message-skipped': {
      const { droppedId: id, seq, runId } = event;
      return [{ agent, session, id, seq, decision: event.type.replace('message-', ''), reason: undefined, runId }];
    }
    case 'turn-ended':
      return event.messages
        .filter(({ decision }) => decision !== 'superseded' && decision !== 'skipped')
        .map(({ id, seq, decision }) => ({
          ...{ agent, session, id, seq, decision },
          ...{ reason: event.error, runId: event.runId },
        }));
    default:
      return [];
  }
}

export const isStarted = (event: SessionEvent): event is Started => event.type === 'turn-started';
