import { highestOfHead, parseRecord, type Names } from '#contracts';
import type { BrokerConnection, StreamReader } from '#jetstream';
import { checkSource, type LeaseStore, type SourceCheck, type StoredLease } from '#shards';
import { readLastMessages } from './last-messages.consumer.js';

/** What the other streams and buckets say about the last sequence of the inbox. */
export interface InboxEvidence extends SourceCheck {
  readonly leases: ReadonlyMap<number, StoredLease>;
  /** Sessions that have a record. */
  readonly sessions: number;
  /** Records that this version cannot read: what they say is not in `mark`. */
  readonly unreadable: number;
}

/** Reads the durable evidence of the last sequence of the inbox: the leases, and the last record of every session. */
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
  // Read last: the others only follow what the inbox stores.
  const lastSeq = await reader.leaderLastSeq(names.inboxStream);
  const progress = [...stored.values()].map(({ lease }) => lease);
  return { ...checkSource(lastSeq, progress, highest), leases: stored, sessions, unreadable };
}
