import type { StoredMessage, StreamReader } from './stream-reader.client.js';

/** Looks up single messages of a stream. */
export type StreamLookup = Pick<StreamReader, 'last' | 'message' | 'messagesOf'>;

/**
 * Looks up messages for callers that draw conclusions from a missing one. What a replica has is true, but what it lacks it
 * may just not have yet: so the stream's leader is asked again for that. With one replica a `StreamReader` gives the same
 * answers at less cost.
 */
export class ConfirmedReader implements StreamLookup {
  constructor(
    private readonly reader: Pick<
      StreamReader,
      'message' | 'messagesOf' | 'leaderLast' | 'leaderNext' | 'leaderMessage'
    >,
  ) {}

  /** A replica may have an older last message, so the leader is asked. */
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
