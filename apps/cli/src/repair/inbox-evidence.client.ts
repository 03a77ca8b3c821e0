import { highestOfHead, parseRecord, type Names } from '#contracts';
import type { BrokerConnection, StreamReader } from '#jetstream';
import { checkSource, type LeaseStore, type SourceCheck, type StoredLease } from '#shards';
import { readLastMessages } from './last-messages.consumer.js';

/** What the rest of the broker says about where the inbox had come to. */
export interface InboxEvidence extends SourceCheck {
  readonly leases: ReadonlyMap<number, StoredLease>;
  /** Sessions that have a record. */
  readonly sessions: number;
  /** Records that this version cannot read: what they say is not in `mark`. */
  readonly unreadable: number;
}

/** All that says for good where the inbox had come to: the leases, and the last record of every session. */
export async function gatherEvidence(
  connection: BrokerConnection,
  reader: StreamReader,
  leases: Pick<LeaseStore, 'readAll'>,
  names: Names,
): Promise<InboxEvidence> {
  let highest = 0;
  let sessions = 0;
  let unreadable = 0;
  const stored = await leases.readAll();
  await readLastMessages(connection, names.turnsStream, `${names.namespace}.turns.>`, (text) => {
    const parsed = parseRecord(text);
    sessions++;
    if (parsed.ok) highest = Math.max(highest, highestOfHead(parsed.record));
    else unreadable++;
  });
  // Last of all: the others only follow what is stored.
  const lastSeq = await reader.leaderLastSeq(names.inboxStream);
  const progress = [...stored.values()].map(({ lease }) => lease);
  return { ...checkSource(lastSeq, progress, highest), leases: stored, sessions, unreadable };
}
