import type { InboxEntry, SessionTokens } from '#contracts';
import type { TraceContext } from '#telemetry';
import type { InboxPublisher, Published } from './inbox.publisher.js';
import type { SwallowedEntries } from './swallowed-entries.client.js';

/** Stores entries like the publisher itself; a repetition of one that was swallowed is no duplicate but stored anew. */
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
      // As behind a dead one: all who repeat it name the same sequence, so it is again stored once.
      after = published.seq;
    }
  }
}
