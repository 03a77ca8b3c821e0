import type { Decision, SessionAnswer } from '#contracts';
import type { DecidedMessage } from './decided-message.js';

/** What became of a message. */
export type MessageStatus = { readonly seq: number } & (
  | {
      readonly disposition: 'queued' | 'waiting';
      /** Its place among the messages that wait, from 1; absent for an order to the lane, which is in nobody's way. */
      readonly position?: number;
      /** The run that comes again. */
      readonly runId?: string;
      /** Its turn does not start before: ms since the epoch. */
      readonly notBefore?: number;
      /** Why it waits, where nothing else tells. */
      readonly reason?: 'sequence-gap' | 'waiting-for-agent';
    }
  | { readonly disposition: 'running'; readonly runId: string }
  | {
      readonly disposition: 'decided';
      readonly decision: Decision;
      readonly reason?: string;
      readonly runId?: string;
    }
);

/**
 * Of a message that no record decides. `before`: the undecided sequences before it; `answer`: of the session's worker, which
 * may be of another version.
 */
export function pendingStatus(
  seq: number,
  before: readonly number[],
  answer: SessionAnswer | undefined,
): MessageStatus {
  const { retry, early, window, concurrent = [] } = answer ?? {};
  const running = runningTurns(answer).find(({ seqs }) => seqs.includes(seq));
  if (running !== undefined) return { seq, disposition: 'running', runId: running.runId };
  const inRun = runningSeqs(answer);
  const position = before.filter((other) => !inRun.has(other)).length + 1;
  if (answer?.state === 'waiting-for-agent') {
    return { seq, disposition: 'waiting', position, reason: 'waiting-for-agent' };
  }
  const again = [retry, ...concurrent].find((run) => run?.seqs.includes(seq) === true);
  if (again?.notBefore !== undefined) {
    return { seq, disposition: 'waiting', position, runId: again.runId, notBefore: again.notBefore };
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

export function decidedStatus({ seq, decision, reason, turn }: DecidedMessage): MessageStatus {
  return {
    seq,
    disposition: 'decided',
    decision,
    ...(reason === undefined ? {} : { reason }),
    ...(turn === undefined ? {} : { runId: turn.runId }),
  };
}
