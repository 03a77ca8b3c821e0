import type { DecidedMessage } from './decided-message.js';

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
  readonly error?: { readonly name: string; readonly message: string };
  readonly replies?: DecidedMessage['replies'];
}

export function describeDecision({ decision, reason, turn, replies }: DecidedMessage): Partial<SendAnswer> {
  return {
    decision,
    status: turn?.status ?? decision,
    ...(reason === undefined ? {} : { reason }),
    ...(turn === undefined ? {} : { runId: turn.runId }),
    ...(turn?.error === undefined ? {} : { error: turn.error }),
    replies,
  };
}
