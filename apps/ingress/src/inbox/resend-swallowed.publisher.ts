import type { InboxEntry, SessionTokens } from '#contracts';
import type { TraceContext } from '#telemetry';
import type { InboxPublisher, Published } from './inbox.publisher.js';
import type { SwallowedEntries } from './swallowed-entries.client.js';

/** Stores entries like the publisher itself, but stores a repetition of a swallowed entry again: it is no duplicate. */
export class ResendSwallowedPublisher implements Pick<InboxPublisher, 'publish'> {
  constructor(
    private readonly publisher: Pick<InboxPublisher, 'publish'>,
    private readonly swallowed: Pick<SwallowedEntries, 'isSwallowed'>,
  ) {}

  async publish(
    key: SessionTokens,
    entry: InboxEntry,
    trace: TraceContext | undefined,
    afterFormerSeq: number,
  ): Promise<Published> {
    for (let after = afterFormerSeq; ;) {
      const published = await this.publisher.publish(key, entry, trace, after);
      if (!published.duplicate || !(await this.swallowed.isSwallowed(key, published.seq, entry.id))) return published;
      // As behind a dead message: all repetitions name the same sequence, so it is stored once.
      after = published.seq;
    }
  }
}
