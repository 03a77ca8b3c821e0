import type { Call, History, InboxLine, RecordLine } from './history.js';

/** What happened in one session: invariants are mostly about one. */
export interface SessionHistory {
  readonly session: string;
  readonly inbox: readonly InboxLine[];
  readonly records: readonly RecordLine[];
  /** By the time they began. */
  readonly calls: readonly Call[];
}

export function bySession(history: Pick<History, 'inbox' | 'records' | 'calls'>): SessionHistory[] {
  const inbox = Map.groupBy(history.inbox, ({ session }) => session);
  const records = Map.groupBy(history.records, ({ session }) => session);
  const calls = Map.groupBy(history.calls, ({ session }) => session);
  return [...new Set([...inbox.keys(), ...records.keys(), ...calls.keys()])].map((session) => ({
    session,
    inbox: inbox.get(session) ?? [],
    records: records.get(session) ?? [],
    calls: (calls.get(session) ?? []).toSorted((a, b) => a.startedAt - b.startedAt),
  }));
}

/** The agent hears of both in one go: of the request, and that its caller has gone. */
const AT_ONCE_MS = 10;

/**
 * Its caller had hung up before the agent heard of the request, and its attempt was on record by then: on a busy machine a
 * request on another connection overtakes it. Nothing ran.
 */
export function wasOverOnArrival(
  { runId, attempt, isHungUp, startedAt, endedAt }: Call,
  records: readonly RecordLine[],
): boolean {
  if (!isHungUp || endedAt - startedAt > AT_ONCE_MS) return false;
  return records.some(
    ({ record, at: recordedAt }) =>
      record.kind === 'turn' && record.runId === runId && record.attempt === attempt && recordedAt < startedAt,
  );
}

/** Where a record stands, for people. */
export function at({ seq, session, record }: RecordLine): string {
  return `record ${seq} of ${session} (${record.kind} of ${record.worker})`;
}
