import { isDeepStrictEqual } from 'node:util';
import {
  decodeUtf8,
  isIdFree,
  JsonText,
  writeInboxEntry,
  type InboxEntry,
  type Names,
  type SessionTokens,
} from '#contracts';
import { brokerUnavailable, ProblemException } from '#http';
import type { StreamLookup } from '#jetstream';
import type { TraceContext } from '#telemetry';
import type { ReusedIds } from './reused-ids.client.js';
import type { InboxPublisher, Stored } from './inbox.publisher.js';
import type { SessionHistory } from '../sessions/session-history.client.js';

/**
 * Decides what a repetition by a sender means. Only the broker decides what is a duplicate, so fifty at once are stored once.
 * This class looks at the duplicate: an id whose message ended dead, or without a turn, is stored again; the same id with
 * another body is an error.
 */
export class DeduplicatedInbox {
  constructor(
    private readonly publisher: Pick<InboxPublisher, 'publish'>,
    private readonly lookup: StreamLookup,
    private readonly history: SessionHistory,
    private readonly names: Names,
    private readonly reusedIds: Pick<ReusedIds, 'formerSeqOf' | 'expectRoom' | 'remember'>,
  ) {}

  async store(key: SessionTokens, entry: InboxEntry, trace: TraceContext | undefined): Promise<Stored> {
    // An order never ends dead, and never without a look at it.
    let afterFormerSeq = entry.kind === 'control' ? 0 : this.reusedIds.formerSeqOf(key, entry.id);
    for (;;) {
      const { seq, duplicate, wasUnclear } = await this.publisher.publish(key, entry, trace, afterFormerSeq);
      if (!duplicate || entry.kind === 'control' || !(await this.isFreeAgain(key, seq))) {
        if (duplicate) await this.expectSameContent(seq, entry);
        if (afterFormerSeq > 0) await this.rememberBehind(key, entry.id, afterFormerSeq, duplicate);
        return { seq, duplicate };
      }
      // Either our own first try was stored and has ended since, or the sender repeats a message that had ended before. The
      // first must not run again, the second must, and neither we nor the broker can tell. The sender's next try is clear.
      if (wasUnclear) throw brokerUnavailable('The broker did not acknowledge it clearly', entry.id);
      this.reusedIds.expectRoom(key, entry.id);
      // Each caller that sends it again names the same former message, so it is again stored once.
      afterFormerSeq = seq;
    }
  }

  /** The broker forgets the dead message before this one: without this note a repetition would be stored once more. */
  private async rememberBehind(key: SessionTokens, id: string, formerSeq: number, isDuplicate: boolean): Promise<void> {
    if (isDuplicate && this.reusedIds.formerSeqOf(key, id) >= formerSeq) return;
    await this.reusedIds.remember(key, id, formerSeq);
  }

  private async isFreeAgain(key: SessionTokens, seq: number): Promise<boolean> {
    const decided = await this.history.decisionOf(key, { seq });
    const message = decided?.record.messages.find((candidate) => candidate.seq === seq);
    return decided !== undefined && message !== undefined && isIdFree(decided.record, message);
  }

  private async expectSameContent(seq: number, entry: InboxEntry): Promise<void> {
    const stored = await this.lookup.message(this.names.inboxStream, seq);
    // The record is trimmed: it cannot be told any more.
    if (stored === undefined) return;
    const former = decodeUtf8(stored.data);
    if (former === undefined || isSame(former, writeInboxEntry(entry))) return;
    throw mismatch(seq, entry);
  }
}

/** A sender that repeats a message may write its keys in another order; no digit may differ. */
function isSame(former: string, body: string): boolean {
  if (former === body) return true;
  try {
    return isDeepStrictEqual(new JsonText(former).value, new JsonText(body).value);
  } catch {
    // Another program wrote it into the stream: it says nothing about this message.
    return true;
  }
}

function mismatch(seq: number, { kind }: InboxEntry): ProblemException {
  const problem = { status: 422, code: 'idempotency-mismatch', extra: { seq } };
  if (kind === 'message') {
    const detail = `id: found a message with another content under this id (seq ${seq}), wanted the same; use a new id`;
    return new ProblemException({ ...problem, title: 'This id was used for another message', detail });
  }
  const detail = `Idempotency-Key: found a cancel of something else under this key (seq ${seq}), wanted the same; use a new key`;
  return new ProblemException({ ...problem, title: 'This key was used for another cancel', detail });
}
