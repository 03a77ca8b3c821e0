import { setTimeout as delay } from 'node:timers/promises';
import { JetStreamApiError } from '@nats-io/jetstream';
import { RequestError, TimeoutError } from '@nats-io/transport-node';
import type { Logger } from '#telemetry';
import { BrokerAwayError } from './broker-away-error.js';
import { SERVER_ERROR } from './server-errors.js';

export interface Patience {
  /** Whether an error may pass with time; every other error is thrown. */
  readonly mayPass: (error: unknown) => boolean;
  /** Log line that says what we wait for; written once per reason. */
  readonly says: string;
  readonly log: Logger;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

const PAUSE_MS = 500;
/** Longer than a leader takes to answer. */
const SHORT_TRY_MS = 750;
const SHORT_PAUSE_MS = 100;

/** Repeats an attempt that a start needs until it succeeds, however long that takes. */
export async function patiently<T>(attempt: () => Promise<T>, { mayPass, says, log, signal }: Patience): Promise<T> {
  let told: string | undefined;
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (!mayPass(error)) throw error;
      const reason = String(error);
      if (reason !== told) log.warn({ error: reason }, says);
      told = reason;
    }
    await delay(PAUSE_MS, undefined, signal === undefined ? {} : { signal });
  }
}

/** Repeats requests to JetStream while it has no leader: during an election, or with too few nodes. */
export async function untilJetStreamAnswers<T>(
  attempt: () => Promise<T>,
  { log, signal }: Pick<Patience, 'log' | 'signal'>,
): Promise<T> {
  const says =
    'JetStream does not answer yet (it elects a leader, or waits for more nodes), trying again until it does';
  return patiently(attempt, { mayPass: isUnanswered, says, log, signal });
}

/**
 * Sends a repeatable request in short tries: a request that was sent while a stream had no leader is lost, and one long try
 * would still wait for its answer when the next leader has long been there. The first answer to any try counts: a slow or
 * distant broker answers each try after the next one was sent. Rejects with `BrokerAwayError` when no answer comes within
 * `withinMs`.
 */
export function inShortTries<T>(ask: () => Promise<T>, withinMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const deadline = performance.now() + withinMs;
    let why: unknown;
    let timer: NodeJS.Timeout | undefined;
    let tries = 0;
    let isOver = false;
    const end = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      settle();
    };
    const giveUp = (): void =>
      end(() => reject(why instanceof BrokerAwayError ? why : new BrokerAwayError({ cause: why })));
    const next = (): void => {
      const leftMs = deadline - performance.now();
      if (tries > 0 && leftMs <= 0) return giveUp();
      if (tries > 0 && leftMs <= SHORT_PAUSE_MS) {
        timer = setTimeout(giveUp, leftMs);
        return;
      }
      const number = ++tries;
      timer = setTimeout(next, Math.min(SHORT_TRY_MS, leftMs));
      ask().then(
        (answer) => end(() => resolve(answer)),
        (error: unknown) => {
          if (isOver) return;
          if (!isUnanswered(error)) return end(() => reject(error));
          why = error;
          // An earlier try failed: the last one keeps its own time.
          if (number !== tries) return;
          clearTimeout(timer);
          timer = setTimeout(next, SHORT_PAUSE_MS);
        },
      );
    };
    next();
  });
}

/** The broker's answer to a request on a subject without subscribers: it comes at once, and no service got the request. */
export function hasNoResponders(error: unknown): boolean {
  return error instanceof RequestError && error.isNoResponders();
}

/** The request was not answered: that says nothing about its outcome. */
export function isUnanswered(error: unknown): boolean {
  if (error instanceof TimeoutError || error instanceof BrokerAwayError) return true;
  return error instanceof JetStreamApiError && error.code === SERVER_ERROR.noLeader;
}
