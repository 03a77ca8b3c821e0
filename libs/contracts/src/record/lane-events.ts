import type { Outcome } from './decisions.js';
import type { MessageDecision } from './record.js';
import type { DescribedError } from '../errors/thrown.js';

/**
 * Events of messages and turns of a session: for logs, for readers of a session, for metrics. Names and fields are those of
 * the Chat SDK where it has them. The record is the truth; an event reports a change once, and may be lost with its
 * process.
 */
export type LaneEvent =
  /** It has to wait: another turn runs, or others wait before it. `queueDepth` includes it. */
  | {
      readonly type: 'message-queued';
      readonly messageId: string;
      readonly threadId?: string;
      readonly queueDepth: number;
    }
  /** A turn takes waiting messages; `messageId` is the latest of them. */
  | {
      readonly type: 'message-dequeued';
      readonly messageId: string;
      readonly threadId?: string;
      readonly runId: string;
      readonly skippedCount: number;
    }
  /** A quiet or fixed time begins with this message. */
  | {
      readonly type: 'message-debouncing';
      readonly messageId: string;
      readonly threadId?: string;
      readonly debounceMs: number;
    }
  /** The quiet time starts again with this message. */
  | { readonly type: 'message-debounce-reset'; readonly messageId: string; readonly threadId?: string }
  /** Decided without a turn. `queueDepth`: how many wait now. */
  | {
      readonly type:
        | 'message-dropped'
        | 'message-expired'
        | 'message-cancelled'
        | 'message-rejected'
        | 'message-refused'
        | 'message-dead';
      readonly messageId: string;
      readonly seq: number;
      readonly reason?: string;
      readonly queueDepth: number;
    }
  /** Decided by a turn whose message came later. */
  | {
      readonly type: 'message-superseded' | 'message-skipped';
      readonly droppedId: string;
      readonly seq: number;
      readonly runId: string;
      readonly queueDepth: number;
    }
  /** The numbers from `expected` on did not come in time: the lane continues with `sequence`. */
  | {
      readonly type: 'message-gap';
      readonly messageId: string;
      readonly threadId?: string;
      /** null = no number had come before. */
      readonly expected: number | null;
      readonly sequence: number;
    }
  | {
      readonly type: 'turn-retrying';
      readonly runId: string;
      readonly attempt: number;
      /** ms since the epoch; absent = at once, since its worker was gone. */
      readonly notBefore?: number;
      /** Why its last attempt failed. For the log of this process: it is not published. */
      readonly cause?: DescribedError;
      /** Other turns of the session run beside it. */
      readonly concurrent?: true;
    }
  /** Its batch was refused because of one message or because of their number: it runs again in parts, each a run of its own. */
  | {
      readonly type: 'turn-split';
      readonly runId: string;
      readonly error: string;
      /** Other turns of the session run beside it. */
      readonly concurrent?: true;
    }
  /** Its record is stored. */
  | {
      readonly type: 'turn-ended';
      readonly runId: string;
      readonly attempt: number;
      readonly status: Outcome;
      readonly messages: readonly MessageDecision[];
      /** How many wait now. */
      readonly queueDepth: number;
      readonly error?: string;
      /** The full error. For the log of this process: it is not published. */
      readonly cause?: DescribedError;
      /** Messages that the agent ended dead in a turn that succeeded. For the log of this process, too. */
      readonly failed?: readonly { readonly seq: number; readonly error: DescribedError }[];
      /** Other turns of the session run beside it. */
      readonly concurrent?: true;
    };
