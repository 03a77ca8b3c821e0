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

/** Where a record stands, for people. */
export function at({ seq, session, record }: RecordLine): string {
  return `record ${seq} of ${session} (${record.kind} of ${record.worker})`;
}
