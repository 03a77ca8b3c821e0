import { highestOfHead, decodeUtf8, parseRecord, type Names } from '#contracts';
import type { StreamLookup, StreamReader } from '#jetstream';

/** Far enough back that it is nearly always the highest; a few requests, also when each record holds a large state. */
const RECORDS_BACK = 64;

/**
 * The highest inbox sequence in the newest records. A lease has it too, but a few seconds later: after a power cut the records
 * may be the only trace of messages that the inbox has lost.
 */
export async function recentlyDecided(
  reader: Pick<StreamReader, 'leaderLastSeq'>,
  lookup: Pick<StreamLookup, 'messagesOf'>,
  names: Names,
): Promise<number> {
  const from = (await reader.leaderLastSeq(names.turnsStream)) - RECORDS_BACK + 1;
  let highest = 0;
  for await (const { data } of lookup.messagesOf(names.turnsStream, `${names.namespace}.turns.>`, from)) {
    const parsed = parseRecord(decodeUtf8(data));
    if (parsed.ok) highest = Math.max(highest, highestOfHead(parsed.record));
  }
  return highest;
}
