import { decodeUtf8, parseRecord, unreadableId, type Names, type SessionTokens, isDecided, laneId } from '#contracts';
import type { StreamLookup } from '#jetstream';
import type { KeyLeaseStore, Lease } from '#shards';
import { previousRecordSeq } from '../sessions/session-history.client.js';

type Judgement = 'decided' | 'undecided' | 'swallowed';

/**
 * Finds entries that a rewound inbox swallowed: stored, at a sequence that was decided before under another entry. Their
 * senders were told 503; but when they send again after the repair, the broker knows the id and answers "duplicate".
 */
export class SwallowedEntries {
  constructor(
    private readonly lookup: StreamLookup,
    private readonly leases: Pick<KeyLeaseStore, 'read'>,
    private readonly names: Names,
  ) {}

  /** `id`: of the entry; the same sequence may have been another one's before. */
  async isSwallowed(key: SessionTokens, seq: number, id: string): Promise<boolean> {
    const judgement = await this.judge(key, seq, id);
    if (judgement !== 'undecided') return judgement === 'swallowed';
    const stored = await this.leases.read(key.shard);
    if (stored === undefined || isOpen(stored.lease, key, seq)) return false;
    // Asked again after the lease was read: a decision that the lease has passed has its record by then, or gets none.
    return (await this.judge(key, seq, id)) !== 'decided';
  }

  /** Back to the record that moved the session's cursor over the sequence: it names what it decides. */
  private async judge(key: SessionTokens, seq: number, id: string): Promise<Judgement> {
    const { turnsStream } = this.names;
    const subject = this.names.turnsSubject(key);
    let stored = await this.lookup.last(turnsStream, subject);
    let judgement: Judgement = 'undecided';
    while (stored?.subject === subject) {
      const parsed = parseRecord(decodeUtf8(stored.data));
      // It cannot be told any more, and an entry must not run twice.
      if (!parsed.ok) return 'decided';
      if (!isDecided(parsed.record, seq)) return judgement;
      const named = parsed.record.messages.find((message) => message.seq === seq);
      if (named !== undefined) return named.id === id || named.id === unreadableId(seq) ? 'decided' : 'swallowed';
      judgement = 'swallowed';
      const before = previousRecordSeq(stored);
      if (before === 0) return judgement;
      stored = await this.lookup.message(turnsStream, before);
    }
    // The record before is trimmed: it may have been the one.
    return judgement === 'swallowed' ? 'decided' : judgement;
  }
}

/** Whether the lease still leads a reader to the entry. */
function isOpen({ read, open }: Lease, key: SessionTokens, seq: number): boolean {
  return seq > read || open.some(({ session, from }) => from <= seq && session === laneId(key));
}
