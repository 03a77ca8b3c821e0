import type { InboxEntry, SessionTokens } from '#contracts';
import { ProblemException } from '#http';
import type { TraceContext } from '#telemetry';
import type { DeduplicatedInbox } from './deduplicated-inbox.client.js';
import type { Stored } from './inbox.publisher.js';
import type { MessageNumbers, NumberedMessage } from './message-numbers.client.js';

/**
 * Stores entries like the inbox itself, a numbered message only after it has claimed its number. A crash in between leaves a
 * number without a message; the repetition of the message uses that number.
 */
export class NumberedInbox implements Pick<DeduplicatedInbox, 'store'> {
  constructor(
    private readonly inbox: Pick<DeduplicatedInbox, 'store'>,
    private readonly numbers: Pick<MessageNumbers, 'claim' | 'release'>,
  ) {}

  store(key: SessionTokens, entry: InboxEntry, trace: TraceContext | undefined): Promise<Stored> {
    if (entry.kind === 'control' || entry.sequence === undefined) return this.inbox.store(key, entry, trace);
    return this.storeNumbered(key, entry, { id: entry.id, sequence: entry.sequence }, trace);
  }

  private async storeNumbered(
    key: SessionTokens,
    entry: InboxEntry,
    message: NumberedMessage,
    trace: TraceContext | undefined,
  ): Promise<Stored> {
    const claim = await this.numbers.claim(key, message);
    try {
      return await this.inbox.store(key, entry, trace);
    } catch (error) {
      // This message will never be stored. A number without a message would refuse the one that rightly has it.
      if (isRefusal(error)) await this.numbers.release(key, message, claim);
      throw error;
    }
  }
}

/** The request is wrong: the message is certainly not stored. After a 503 it may be, and its repetition needs the number. */
function isRefusal(error: unknown): boolean {
  return error instanceof ProblemException && error.problem.status < 500;
}
