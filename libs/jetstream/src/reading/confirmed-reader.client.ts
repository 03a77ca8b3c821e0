import type { StoredMessage, StreamReader } from './stream-reader.client.js';

/** Looks for single messages of a stream. */
export type StreamLookup = Pick<StreamReader, 'last' | 'message' | 'messagesOf'>;

/**
 * Looks for messages on behalf of whoever draws conclusions from finding none. What a replica has is true, but what it has
 * not it may not have yet: so that is asked again of the stream's leader. With one replica a `StreamReader` says the same
 * for less.
 */
export class ConfirmedReader implements StreamLookup {
  constructor(
    private readonly reader: Pick<
      StreamReader,
      'message' | 'messagesOf' | 'leaderLast' | 'leaderNext' | 'leaderMessage'
    >,
  ) {}

  /** The one that a replica has may have a successor. */
  async last(stream: string, subject: string): Promise<StoredMessage | undefined> {
    return this.reader.leaderLast(stream, subject);
  }

  async message(stream: string, seq: number): Promise<StoredMessage | undefined> {
    return (await this.reader.message(stream, seq)) ?? this.reader.leaderMessage(stream, seq);
  }

  async *messagesOf(stream: string, subject: string, fromSeq: number): AsyncGenerator<StoredMessage> {
    for (let seq = fromSeq; ;) {
      for await (const stored of this.reader.messagesOf(stream, subject, seq)) {
        yield stored;
        seq = stored.seq + 1;
      }
      const missed = await this.reader.leaderNext(stream, subject, seq);
      if (missed === undefined) return;
      yield missed;
      seq = missed.seq + 1;
    }
  }
}
