import {
  dedupId,
  HEADER,
  MAX_STORED_BYTES,
  writeInboxEntry,
  type InboxEntry,
  type Names,
  type SessionTokens,
} from '#contracts';
import { brokerUnavailable, inputProblem, type ProblemException } from '#http';
import { SERVER_ERROR, type BrokerConnection, type PublishChannel, type PublishOutcome } from '#jetstream';
import type { Logger, TraceContext } from '#telemetry';
import { PATIENCE_MS, pauseForBroker } from './broker-pause.client.js';
import { REPAIR_INBOX, type FloorWatch } from './floor-watch.client.js';
import { inboxRewound } from './inbox-rewound.exception.js';

export interface Stored {
  readonly seq: number;
  readonly duplicate: boolean;
}

export interface Published extends Stored {
  /** An earlier try of this call got no clear answer: this may be a duplicate of that try. */
  readonly wasUnclear: boolean;
}

/**
 * Stores messages, and orders to lanes, in LK_INBOX. It answers only after the broker acknowledged (L3); the broker stores
 * one id once per window, so sending the same bytes again after an unclear answer is harmless.
 */
export class InboxPublisher {
  constructor(
    private readonly connection: BrokerConnection,
    private readonly channel: PublishChannel,
    private readonly names: Names,
    private readonly log: Logger,
    private readonly gate: Pick<FloorWatch, 'state' | 'mark' | 'problem' | 'admit' | 'doubt'>,
  ) {}

  /**
   * Stores one entry. `duplicate` says that the broker had its id already, under `seq`; `afterFormerSeq` makes the id new
   * again behind a dead message of the same id.
   */
  async publish(
    key: SessionTokens,
    entry: InboxEntry,
    trace: TraceContext | undefined,
    afterFormerSeq: number,
  ): Promise<Published> {
    const body = writeInboxEntry(entry);
    const bytes = Buffer.byteLength(body);
    if (bytes > MAX_STORED_BYTES) {
      throw inputProblem(413, [
        { field: 'body', found: `${bytes} bytes`, wanted: `at most ${MAX_STORED_BYTES} bytes` },
      ]);
    }
    const headers = { [HEADER.messageId]: brokerId(key, entry, afterFormerSeq), ...trace };
    const deadline = performance.now() + PATIENCE_MS;
    let wasUnclear = false;
    for (;;) {
      if (this.gate.state !== 'open') await this.expectOpen(deadline, entry);
      // The mark before the publish: once the entry is stored, the mark of an idle shard may be this entry.
      const { mark } = this.gate;
      const outcome = await this.channel.publish(this.names.ingestSubject(key), body, headers);
      if (outcome.kind === 'stored') {
        // A duplicate has an old sequence; whether that is above the mark says nothing.
        if (!outcome.duplicate && outcome.seq <= mark) throw this.swallowed(outcome.seq, mark, entry);
        return { seq: outcome.seq, duplicate: outcome.duplicate, wasUnclear };
      }
      if (!isWorthRepeating(outcome) || performance.now() >= deadline) throw this.refusal(outcome, entry);
      wasUnclear ||= outcome.kind === 'unknown';
      await pauseForBroker(this.connection, deadline);
    }
  }

  private async expectOpen(deadline: number, entry: InboxEntry): Promise<void> {
    const state = await this.gate.admit(deadline);
    if (state === 'open') return;
    const { problem = 'the inbox was not looked at yet' } = this.gate;
    if (state === 'rewound') throw inboxRewound(problem, repeatableId(entry));
    throw brokerUnavailable(this.connection.isUp ? problem : 'The broker is away', repeatableId(entry));
  }

  /** It is stored where everything counts as decided: no worker would ever handle it. */
  private swallowed(seq: number, mark: number, entry: InboxEntry): ProblemException {
    this.log.error({ seq, mark }, 'the inbox gave a message a sequence that it had given before: it was set back');
    this.gate.doubt();
    const { inboxStream } = this.names;
    const what = `${inboxStream}: found sequence ${seq} for it, wanted one above ${mark}, which was given before`;
    return inboxRewound(`${what}; ${REPAIR_INBOX}`, repeatableId(entry));
  }

  private refusal(outcome: Exclude<PublishOutcome, { kind: 'stored' }>, entry: InboxEntry): ProblemException {
    const messageId = repeatableId(entry);
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
}

/** The id of an order is made here: its sender cannot repeat it under that id, and may safely send another one. */
function repeatableId(entry: InboxEntry): string | undefined {
  return entry.kind === 'message' ? entry.id : undefined;
}

/** Of an order it is none that a message may have: whatever a sender calls its message, the two never meet. */
function brokerId(key: SessionTokens, entry: InboxEntry, afterFormerSeq: number): string {
  const id = dedupId(key, entry.id, afterFormerSeq);
  return entry.kind === 'message' ? id : `${entry.kind}.${id}`;
}

/** An unclear answer, or a first publish of the id that is still on its way to the replicas. */
function isWorthRepeating(outcome: PublishOutcome): boolean {
  return outcome.kind === 'unknown' || (outcome.kind === 'refused' && outcome.code === SERVER_ERROR.duplicateInProcess);
}
