import { setTimeout as delay } from 'node:timers/promises';
import {
  decodeUtf8,
  LanekeeperError,
  parseCarried,
  RetryLaterError,
  writeJsonObject,
  type AcquireRequest,
  type ApproveRequest,
  type EndRequest,
  type GuardCall,
  type GuardReply,
  type Names,
  type ReleaseRequest,
  type RenewRequest,
  type TaskAnswers,
  type TaskOperation,
} from '#contracts';
import { BrokerAwayError, hasNoResponders, type BrokerConnection } from '#jetstream';

export interface GuardCallOptions {
  /** How long to wait for an answer in total - ms - default 2000. */
  readonly withinMs?: number;
}

/** No answer came in time: the request may have been executed. Try later; the same request may be sent again. */
export class GuardUnavailableError extends RetryLaterError {
  constructor(withinMs: number, cause?: unknown) {
    super({
      retryAfterMs: RETRY_AFTER_MS,
      message: `the task guard did not answer within ${withinMs} ms: is one running (\`lanekeeper guard\`, or \`up\`)?`,
      cause,
    });
  }
}

const WITHIN_MS = 2_000;
/** A replica that was killed never answers; another one is asked long before the time limit. */
const ANSWER_WITHIN_MS = 500;
const PAUSE_MS = 50;
const LEAST_MS = 50;
const RETRY_AFTER_MS = 2_000;
/** People decide on what they have seen: repeated, their request might hit the next failure or the next holding (G2). */
const ONCE = { once: true };

/**
 * The guard, for services on the broker. A request is repeated until its time limit with the same content, so with the same
 * `requestId`: whatever an earlier try did, the answer is that of one request. An approval and an end that name no run are
 * repeated only while certainly no guard has received them.
 */
export class GuardClient {
  constructor(
    private readonly connection: Pick<BrokerConnection, 'nc' | 'isUp'>,
    private readonly names: Names,
  ) {}

  acquire(key: string, request: AcquireRequest, options?: GuardCallOptions): Promise<TaskAnswers['acquire']> {
    return this.call('acquire', key, request, options);
  }

  renew(key: string, request: RenewRequest, options?: GuardCallOptions): Promise<TaskAnswers['renew']> {
    return this.call('renew', key, request, options);
  }

  release(key: string, request: ReleaseRequest, options?: GuardCallOptions): Promise<TaskAnswers['release']> {
    return this.call('release', key, request, options);
  }

  approve(key: string, request: ApproveRequest, options?: GuardCallOptions): Promise<TaskAnswers['approve-retry']> {
    return this.call('approve-retry', key, request, options, request.runId === undefined ? ONCE : {});
  }

  end(key: string, request: EndRequest, options?: GuardCallOptions): Promise<TaskAnswers['end']> {
    return this.call('end', key, request, options, request.runId === undefined ? ONCE : {});
  }

  private async call<Operation extends TaskOperation>(
    operation: Operation,
    key: string,
    request: object,
    { withinMs = WITHIN_MS }: GuardCallOptions = {},
    { once = false }: { readonly once?: boolean } = {},
  ): Promise<TaskAnswers[Operation]> {
    const subject = this.names.guardSubject(operation);
    const giveUpAt = performance.now() + withinMs;
    const call: GuardCall = { key, request, validUntil: Date.now() + withinMs };
    const body = writeJsonObject(call);
    let cause: unknown;
    for (;;) {
      const left = giveUpAt - performance.now();
      // A last try that cannot be answered in time could get a task for a caller that is gone, and hide why the others failed.
      if (left < (cause === undefined ? 1 : LEAST_MS)) throw new GuardUnavailableError(withinMs, cause);
      try {
        const within = once ? left : Math.min(left, ANSWER_WITHIN_MS);
        const reply = await this.ask<TaskAnswers[Operation]>(subject, body, within);
        if (reply.ok) return reply.answer;
        if (reply.code === 'refused') throw new GuardRefusedError(reply.message);
        cause = reply.message;
      } catch (error) {
        if (error instanceof GuardRefusedError) throw error;
        cause = error;
      }
      if (once && !isUnheard(cause)) throw new GuardUnavailableError(withinMs, cause);
      await delay(Math.max(0, Math.min(PAUSE_MS, giveUpAt - performance.now())));
    }
  }

  private async ask<Answer>(subject: string, body: string, timeout: number): Promise<GuardReply<Answer>> {
    // Otherwise it would wait in the send buffer until the broker is back, long after its caller has given up.
    if (!this.connection.isUp) throw new BrokerAwayError();
    const message = await this.connection.nc.request(subject, body, { timeout });
    return parseCarried(decodeUtf8(message.data) ?? '', CARRIED) as GuardReply<Answer>;
  }
}

/** Parts of an answer that are passed on without being read: the result of a finished task. */
const CARRIED = { answer: { result: true } } as const;

/** Whether certainly no guard has received the request. */
function isUnheard(cause: unknown): boolean {
  return cause instanceof BrokerAwayError || hasNoResponders(cause);
}

/** The guard never accepts this request, however often it is sent. */
export class GuardRefusedError extends LanekeeperError {
  constructor(message: string) {
    super('guard_refused', `the task guard refused: ${message}`);
  }
}
