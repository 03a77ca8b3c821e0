import { dedupId, HEADER, MAX_STORED_BYTES, type InboxMessage, type Names, type SessionTokens } from '#contracts';
import { SERVER_ERROR, type BrokerConnection, type PublishChannel, type PublishOutcome } from '#jetstream';
import type { Logger, TraceContext } from '#telemetry';
import { brokerUnavailable, inputProblem, type ProblemException } from './problem.exception.js';

export interface Stored {
  readonly seq: number;
  readonly duplicate: boolean;
}

export interface Published extends Stored {
  /** An earlier try of this very call got no clear answer: it may be what this is a duplicate of. */
  readonly wasUnclear: boolean;
}

/** How long a publish without a clear answer is tried again before the sender is told 503. */
const PATIENCE_MS = 5_000;
const PAUSE_MS = 25;

/**
 * Stores messages in LK_INBOX. It answers only after the broker acknowledged (L3); the broker stores one id once per
 * window, so sending the same bytes again after an unclear answer is harmless.
 */
export class InboxPublisher {
  constructor(
    private readonly connection: BrokerConnection,
    private readonly channel: PublishChannel,
    private readonly names: Names,
    private readonly log: Logger,
  ) {}

  /**
   * Stores one message. `duplicate` says that the broker had its id already, under `seq`; `afterDeadSeq` makes the id new
   * again behind a dead message of the same id.
   */
  async publish(
    key: SessionTokens,
    message: InboxMessage,
    trace: TraceContext | undefined,
    afterDeadSeq: number,
  ): Promise<Published> {
    const body = JSON.stringify(message);
    const bytes = Buffer.byteLength(body);
    if (bytes > MAX_STORED_BYTES) {
      throw inputProblem(413, [
        { field: 'body', found: `${bytes} bytes`, wanted: `at most ${MAX_STORED_BYTES} bytes` },
      ]);
    }
    const headers = { [HEADER.messageId]: dedupId(key, message.id, afterDeadSeq), ...trace };
    const deadline = performance.now() + PATIENCE_MS;
    let wasUnclear = false;
    for (;;) {
      const outcome = await this.channel.publish(this.names.ingestSubject(key), body, headers);
      if (outcome.kind === 'stored') return { seq: outcome.seq, duplicate: outcome.duplicate, wasUnclear };
      if (!isWorthRepeating(outcome) || performance.now() >= deadline) throw this.refusal(outcome, message.id);
      wasUnclear ||= outcome.kind === 'unknown';
      await this.pause(deadline);
    }
  }

  private refusal(outcome: Exclude<PublishOutcome, { kind: 'stored' }>, messageId: string): ProblemException {
    if (outcome.kind === 'refused') {
      this.log.error({ code: outcome.code, description: outcome.description }, 'the broker refuses messages');
      return brokerUnavailable(`The broker refused it (${outcome.code}: ${outcome.description})`, messageId);
    }
    if (outcome.kind === 'unsendable') {
      this.log.error({ description: outcome.description }, 'a message cannot be sent to the broker');
      return brokerUnavailable('The broker does not take a message of this size', messageId);
    }
    return brokerUnavailable(
      outcome.kind === 'unknown' ? 'The broker did not acknowledge it' : 'The broker is away',
      messageId,
    );
  }

  private async pause(deadline: number): Promise<void> {
    const leftMs = Math.max(0, deadline - performance.now());
    let cancel = (): void => {};
    const over = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, leftMs);
      cancel = () => clearTimeout(timer);
    });
    await Promise.race([this.connection.whenUp(), over]);
    cancel();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** An unclear answer, or a first publish of the id that is still on its way to the replicas. */
function isWorthRepeating(outcome: PublishOutcome): boolean {
  return outcome.kind === 'unknown' || (outcome.kind === 'refused' && outcome.code === SERVER_ERROR.duplicateInProcess);
}
