import type { MessageDecision, SessionRecord } from './record.js';

/** Reason of a cancel that a note decides: one attempt of the message's run was over, and the next one had not begun. */
export const CANCELLED_BETWEEN_ATTEMPTS = 'between-attempts';

/**
 * Whether the id of a decided message may be sent again within the window. It may when no agent has had the message: a
 * reply that says "please send it again" must be true. It also may when the message ended dead, since it will not be
 * retried. A message that a turn has had may not, however that turn ended: it would run twice.
 */
export function isIdFree({ kind }: Pick<SessionRecord, 'kind'>, { decision, reason }: MessageDecision): boolean {
  switch (decision) {
    case 'dead':
    case 'dropped':
    case 'expired':
    case 'refused':
    case 'rejected':
      return true;
    case 'cancelled':
      // The record of a turn cancels only messages that the turn had.
      return kind === 'note' && reason !== CANCELLED_BETWEEN_ATTEMPTS;
    default:
      return false;
  }
}
