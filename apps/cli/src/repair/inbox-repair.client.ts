import { LanekeeperError, decodeUtf8, parseRecord, type Names, isDecided } from '#contracts';
import type { BrokerConnection, PublishChannel, StoredMessage, StreamReader } from '#jetstream';
import { floorOf } from '#shards';
import type { InboxEvidence } from './inbox-evidence.client.js';

export interface InboxRepairOptions {
  readonly connection: BrokerConnection;
  readonly channel: PublishChannel;
  readonly reader: StreamReader;
  readonly names: Names;
  readonly dedupWindowMs: number;
}

/**
 * - `purge`: everything in the inbox goes, and its next sequence is set. At once, however far it is.
 * - `fill`: something in it is still needed, so fillers are stored behind it, some 100,000 a second.
 */
export interface Mending {
  readonly kind: 'purge' | 'fill';
  /** From then on no less is its last sequence. */
  readonly upTo: number;
}

/**
 * How much further than the evidence: what workers have read, and senders were told, since the leases were last written.
 * A running worker goes on where it is, so a message below that would be found only after its restart.
 */
export const BEYOND_THE_MARK = 100_000;

const FILLERS_AT_ONCE = 1_000;
const MAX_FAILURES = 50;
const PAUSE_MS = 100;

/**
 * Brings the end of a rewound inbox back above everything that was decided, so that new messages get sequences that were
 * never given before. Nothing that is stored and undecided is lost; while it works no message is taken (ingress has noticed or
 * notices at its next one), and what is done twice, or by two at once, is only done too far.
 */
export class InboxRepair {
  constructor(private readonly options: InboxRepairOptions) {}

  async plan(evidence: InboxEvidence): Promise<Mending> {
    const upTo = evidence.mark + BEYOND_THE_MARK;
    return { kind: (await this.isNeeded(evidence)) ? 'fill' : 'purge', upTo };
  }

  /** Resolves with the last sequence of the inbox. */
  async mend({ kind, upTo }: Mending, onProgress: (left: number) => void): Promise<number> {
    const { connection, reader, names } = this.options;
    if (kind === 'purge') await connection.jsm.streams.purge(names.inboxStream, { seq: upTo + 1 });
    else await this.fill(upTo, onProgress);
    const lastSeq = await reader.leaderLastSeq(names.inboxStream);
    if (lastSeq >= upTo) return lastSeq;
    throw new LanekeeperError(
      'not_repaired',
      `${names.inboxStream}: found last sequence ${lastSeq} after the repair, wanted at least ${upTo}; run it again`,
    );
  }

  /** Whether the inbox has entries that a worker or an ingress must still find there. */
  private async isNeeded({ leases }: InboxEvidence): Promise<boolean> {
    const { connection, reader, names, dedupWindowMs } = this.options;
    const { ts } = await connection.jsm.streams.info(names.inboxStream);
    const windowFromMs = (ts === undefined ? Date.now() : Date.parse(ts)) - dedupWindowMs;
    const floors = Array.from({ length: names.shards }, (_, shard) =>
      floorOf(leases.get(shard)?.lease ?? NOTHING_DONE),
    );
    const young = await reader.firstSince(names.inboxStream, windowFromMs);
    const from = Math.min(...floors, young?.seq ?? Number.MAX_SAFE_INTEGER);
    for await (const stored of reader.messagesOf(names.inboxStream, '>', from)) {
      // Outside of every shard: no worker reads it.
      if (!stored.subject.startsWith(`${names.namespace}.inbox.`)) continue;
      const key = names.parseSessionSubject(stored.subject);
      // No worker reads below the floor; undecided entries there came while the inbox was rewound, and were not acknowledged.
      const isRead = stored.seq >= (floors[key.shard] ?? 0);
      const isYoung = stored.storedAtMs >= windowFromMs;
      if (!isRead && !isYoung) continue;
      const last = await reader.leaderLast(names.turnsStream, names.turnsSubject(key));
      if (!isDecidedBy(last, stored.seq)) {
        if (isRead) return true;
      } else if (isYoung && (last?.storedAtMs ?? 0) >= stored.storedAtMs) {
        // Decided after it came, not by a record from before: its id tells a repetition that it was handled.
        return true;
      }
    }
    return false;
  }

  private async fill(upTo: number, onProgress: (left: number) => void): Promise<void> {
    const { channel, connection, reader, names } = this.options;
    // No message's subject, and of no shard: no worker reads them, and they go when the inbox is trimmed.
    const subject = names.ingestSubject({ agentToken: '-', sessionToken: '*', shard: 0 });
    for (let failures = 0; ;) {
      // Asked each time: another repair may run too.
      const left = upTo - (await reader.leaderLastSeq(names.inboxStream));
      if (left <= 0) return;
      onProgress(left);
      const outcomes = await Promise.all(
        Array.from({ length: Math.min(left, FILLERS_AT_ONCE) }, () => channel.publish(subject, '', {})),
      );
      const failed = outcomes.find(({ kind }) => kind !== 'stored');
      if (failed === undefined) continue;
      if (failed.kind === 'refused' || failed.kind === 'unsendable' || ++failures === MAX_FAILURES) {
        const { kind, ...why } = failed;
        throw new LanekeeperError(
          'not_repaired',
          `${names.inboxStream}: the broker does not take fillers (${kind}: ${JSON.stringify(why)}); ` +
            'give it what it lacks (space, a leader), and run it again',
        );
      }
      await connection.whenUp();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

const NOTHING_DONE = { read: 0, open: [] };

function isDecidedBy(record: StoredMessage | undefined, seq: number): boolean {
  if (record === undefined) return false;
  const parsed = parseRecord(decodeUtf8(record.data));
  return parsed.ok && isDecided(parsed.record, seq);
}
