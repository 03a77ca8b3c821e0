import type { DescribedError } from '#contracts';
import { repliesFor, type DecidedMessage } from './decided-message.js';

/** What a sender is told. */
export interface SendAnswer {
  readonly messageId: string;
  readonly seq: number;
  readonly duplicate: boolean;
  /** The session that was found for it, when the sender named none. */
  readonly session?: string;
  /** From here on only when it was waited for and is decided. */
  readonly decision?: string;
  /** How its turn ended; of a message that was in none its decision. */
  readonly status?: string;
  readonly reason?: string;
  readonly runId?: string;
  readonly error?: DescribedError;
  /** The message of the same turn that is told its replies. */
  readonly answeredWith?: string;
  readonly replies?: DecidedMessage['replies'];
}

/** `isAllAsked`: the replies of the turn whichever of its messages they are told with. */
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
