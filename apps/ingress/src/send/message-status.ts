import type { Decision, DescribedError, Outcome, RunInWork, SessionAnswer } from '#contracts';
import { repliesFor, type DecidedMessage } from './decided-message.js';

/** What became of a message. */
export type MessageStatus = {
  readonly seq: number;
  /** The attempt of its run that runs, comes next, or was the last one. */
  readonly attempt?: number;
  /** The error of its last attempt. */
  readonly error?: DescribedError;
} & (
  | {
      readonly disposition: 'queued' | 'waiting';
      /** Its place among the messages that wait, from 1; absent for an order to the lane, which does not wait for messages. */
      readonly position?: number;
      /** The run that comes again. */
      readonly runId?: string;
      /** Its turn does not start before this time, ms since the epoch. */
      readonly notBefore?: number;
      /** Why it waits, when no other field tells. */
      readonly reason?: 'sequence-gap' | 'waiting-for-agent';
    }
  | { readonly disposition: 'running'; readonly runId: string }
  | {
      readonly disposition: 'decided';
      readonly decision: Decision;
      readonly reason?: string;
      readonly runId?: string;
      /** How its turn ended. */
      readonly status?: Outcome;
      readonly replies: DecidedMessage['replies'];
      /** Id of the message of the same turn that has its replies. */
      readonly answeredWith?: string;
    }
);

/**
 * The status of a message that no record decides. `before`: the undecided sequences before it; `answer`: what the session's
 * worker says, which may be of another version; `recorded`: its run in the session's last record.
 */
export function pendingStatus(
  seq: number,
  before: readonly number[],
  answer: SessionAnswer | undefined,
  recorded?: RunInWork,
): MessageStatus {
  const last = recorded?.error === undefined ? {} : { error: recorded.error };
  const { retry, early, window, concurrent = [] } = answer ?? {};
  const running = runningTurns(answer).find(({ seqs }) => seqs.includes(seq));
  if (running !== undefined) {
    return { seq, disposition: 'running', runId: running.runId, attempt: running.attempt, ...last };
  }
  const inRun = runningSeqs(answer);
  const position = before.filter((other) => !inRun.has(other)).length + 1;
  if (answer?.state === 'waiting-for-agent') {
    const former = recorded === undefined ? {} : { runId: recorded.runId, attempt: recorded.attempt };
    return { seq, disposition: 'waiting', position, reason: 'waiting-for-agent', ...former, ...last };
  }
  const again = [retry, ...concurrent, recorded].find((run) => run?.seqs.includes(seq) === true);
  if (again?.notBefore !== undefined) {
    const { runId, attempt, notBefore } = again;
    return { seq, disposition: 'waiting', position, runId, attempt, notBefore, ...last };
  }
  if (early?.seqs.includes(seq)) {
    return { seq, disposition: 'waiting', position, notBefore: early.endsAt, reason: 'sequence-gap' };
  }
  if (window?.seqs.includes(seq)) return { seq, disposition: 'waiting', position, notBefore: window.endsAt };
  return { seq, disposition: 'queued', position };
}

/** The messages of all turns that run: none of them waits. */
export function runningSeqs(answer: SessionAnswer | undefined): ReadonlySet<number> {
  return new Set(runningTurns(answer).flatMap(({ seqs }) => seqs));
}

function runningTurns({ running, concurrent = [] }: Partial<SessionAnswer> = {}) {
  const beside = concurrent.filter(({ startedAt }) => startedAt !== undefined);
  return running === undefined ? beside : [running, ...beside];
}

export function decidedStatus(decided: DecidedMessage, isAllAsked = false): MessageStatus {
  const { seq, decision, reason, turn } = decided;
  return {
    seq,
    disposition: 'decided',
    decision,
    ...(reason === undefined ? {} : { reason }),
    ...(turn === undefined ? {} : { runId: turn.runId, attempt: turn.attempt, status: turn.status }),
    ...(turn?.error === undefined ? {} : { error: turn.error }),
    ...repliesFor(decided, isAllAsked),
  };
}
