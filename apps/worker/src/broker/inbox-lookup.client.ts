import type { Names, SessionTokens } from '#contracts';
import { retryWhenUp, type BrokerConnection, type StoredMessage, type StreamReader } from '#jetstream';
import type { AheadSource, InboxPart, InboxSource } from '#lanes';
import type { Logger } from '#telemetry';

export interface InboxLookupOptions {
  readonly connection: BrokerConnection;
  readonly reader: StreamReader;
  readonly names: Names;
  /** With several replicas, a replica that lags may answer a direct get. */
  readonly isReplicated: boolean;
  readonly log: Logger;
}

/** Messages may be large, and all of one answer are in memory at once. */
const SUBJECTS_AT_ONCE = 128;

/**
 * Reads messages of a session from the inbox: by sequence, when the lane did not keep their bodies; older ones, after a
 * takeover; newer ones, while the reading of the shard is paused.
 */
export class InboxLookup implements InboxSource, AheadSource {
  constructor(private readonly options: InboxLookupOptions) {}

  get isExact(): boolean {
    return !this.options.isReplicated;
  }

  async read(key: SessionTokens, seqs: readonly number[], maxBytes: number): Promise<InboxPart | undefined> {
    const { connection, reader, names, log } = this.options;
    const first = seqs[0] ?? 1;
    const attempt = async (): Promise<InboxPart> => {
      const quick = reader.messagesOf(names.inboxStream, names.inboxSubject(key), first);
      const part = await collect(quick, seqs, maxBytes);
      if (part.messages.length === seqs.filter((seq) => seq <= part.readTo).length) return part;
      // Messages are missing. Only the leader can say whether they are gone or the replica lags.
      return collect(this.byLeader(key, first), seqs, maxBytes);
    };
    return retryWhenUp(connection, attempt, {
      onFailure: (error) => log.debug({ ...key, error: String(error) }, 'messages of a session are read again'),
    });
  }

  /** All messages of a session from a sequence on. Rejects while the broker is away. */
  async *messagesOf(key: SessionTokens, fromSeq: number): AsyncGenerator<StoredMessage> {
    const { reader, names, isReplicated } = this.options;
    if (isReplicated) yield* this.byLeader(key, fromSeq);
    else yield* reader.messagesOf(names.inboxStream, names.inboxSubject(key), fromSeq);
  }

  /** A hint when there are several replicas: the one that answers may lag. Rejects while the broker is away. */
  async lastSeqs(keys: readonly SessionTokens[]): Promise<number[]> {
    const { reader, names } = this.options;
    const seqs: number[] = [];
    for (let i = 0; i < keys.length; i += SUBJECTS_AT_ONCE) {
      const subjects = keys.slice(i, i + SUBJECTS_AT_ONCE).map((key) => names.inboxSubject(key));
      const { found } = await reader.lastPerSubject(names.inboxStream, subjects);
      for (const subject of subjects) seqs.push(found.get(subject)?.seq ?? 0);
    }
    return seqs;
  }

  private async *byLeader(key: SessionTokens, fromSeq: number): AsyncGenerator<StoredMessage> {
    const { reader, names } = this.options;
    for (let seq = fromSeq; ;) {
      const stored = await reader.leaderNext(names.inboxStream, names.inboxSubject(key), seq);
      if (stored === undefined) return;
      yield stored;
      seq = stored.seq + 1;
    }
  }
}

async function collect(
  messages: AsyncGenerator<StoredMessage>,
  seqs: readonly number[],
  maxBytes: number,
): Promise<InboxPart> {
  const wanted = new Set(seqs);
  const last = seqs.at(-1) ?? 0;
  const found: StoredMessage[] = [];
  let bytes = 0;
  for await (const stored of messages) {
    if (stored.seq > last) break;
    if (!wanted.has(stored.seq)) continue;
    found.push(stored);
    bytes += stored.data.length;
    if (bytes >= maxBytes) return { messages: found, readTo: stored.seq };
    if (stored.seq === last) break;
  }
  return { messages: found, readTo: last };
}
