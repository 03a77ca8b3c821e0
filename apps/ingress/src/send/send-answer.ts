import type { DescribedError } from '#contracts';
import { repliesFor, type DecidedMessage } from './decided-message.js';

/** The answer to a sender. */
export interface SendAnswer {
  readonly messageId: string;
  readonly seq: number;
  readonly duplicate: boolean;
  /** The session that was found for it, when the sender named none. */
  readonly session?: string;
  /** This field and those below: present only when the sender waited and the message is decided. */
  readonly decision?: string;
  /** How its turn ended; for a message without a turn its decision. */
  readonly status?: string;
  readonly reason?: string;
  readonly runId?: string;
  readonly error?: DescribedError;
  /** Id of the message of the same turn that has its replies. */
  readonly answeredWith?: string;
  readonly replies?: DecidedMessage['replies'];
}

/** `isAllAsked`: all replies of the turn, whichever of its messages has them. */
export function describeDecision(decided: DecidedMessage, isAllAsked: boolean): Partial<SendAnswer> {
  const { decision, reason, turn } = decided;
  return {
    decision,
    status: turn?.status ?? decision,
    ...(reason === undefined ? {} : { reason }),
    ...(turn === undefined ? {} : { runId: turn.runId }),
    ...(turn?.error === undefined ? {} : { error: turn.error }),
    ...repliesFor(decided, isAllAsked),
  };
}
