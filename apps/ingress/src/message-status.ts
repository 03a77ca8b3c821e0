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
  const { running, retry, window } = answer ?? {};
  if (running?.seqs.includes(seq)) return { seq, disposition: 'running', runId: running.runId };
  const inRun = new Set(running?.seqs);
  const position = before.filter((other) => !inRun.has(other)).length + 1;
  if (retry?.seqs.includes(seq)) {
    return { seq, disposition: 'waiting', position, runId: retry.runId, notBefore: retry.notBefore };
  }
  if (window?.seqs.includes(seq)) return { seq, disposition: 'waiting', position, notBefore: window.endsAt };
  return { seq, disposition: 'queued', position };
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
