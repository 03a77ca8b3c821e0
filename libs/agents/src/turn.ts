import { LanekeeperError, decodeToken, type InboxMessage, type Reply } from '#contracts';
import type { TraceContext } from '#telemetry';

/** What a reply may be: a text, or a text and/or any JSON. */
export type ReplyContent = string | { readonly text?: string; readonly data?: unknown };

/** A message as the agent sees it. */
export interface TurnMessage {
  readonly id: string;
  /** Position in the inbox; grows with time. */
  readonly seq: number;
  readonly text?: string;
  readonly data?: unknown;
  readonly author?: InboxMessage['author'];
  readonly thread?: string;
  readonly sentAt?: string;
}

/** What the agent keeps between turns: any JSON up to 256 KiB, committed with the turn or not at all. */
export interface TurnState {
  get(): unknown;
  /** `undefined` forgets it. */
  set(value: unknown): void;
}

export interface TurnStart {
  readonly runId: string;
  readonly attempt: number;
  readonly agentToken: string;
  readonly sessionToken: string;
  readonly messages: readonly TurnMessage[];
  readonly state: unknown;
  readonly signal: AbortSignal;
  readonly trace: TraceContext | undefined;
}

/** Every call of a `Turn` after its end throws this: its result is recorded, or nobody will record it any more. */
export class TurnOverError extends LanekeeperError {
  constructor(runId: string) {
    super('turn_over', `turn ${runId} is over: keep no Turn beyond its handler, and stop when turn.signal aborts`);
  }
}

/**
 * One run of a handler over a fixed batch of messages of one session.
 *
 * The same `runId` always has the same `messages` (L7), whatever the `attempt`: it is the idempotency key for calls to
 * the outside. Replies and state are committed in one write when the handler returns; when it throws, none of them.
 */
export class Turn {
  readonly runId: string;
  /** 1 for the first try of this batch. */
  readonly attempt: number;
  readonly agent: string;
  readonly session: string;
  /** Everything that this turn decides, in order. */
  readonly messages: readonly TurnMessage[];
  /** Aborts when the turn's result will not be used any more. */
  readonly signal: AbortSignal;
  /** Trace context of the latest message; `undefined` when its sender gave none. */
  readonly trace: TraceContext | undefined;
  readonly state: TurnState;
  private readonly replies: Reply[] = [];
  private keptState: unknown;
  private stateWasSet = false;
  private isOver = false;

  constructor(start: TurnStart) {
    this.runId = start.runId;
    this.attempt = start.attempt;
    this.agent = decodeToken(start.agentToken) ?? start.agentToken;
    this.session = decodeToken(start.sessionToken) ?? start.sessionToken;
    this.messages = start.messages;
    this.signal = start.signal;
    this.trace = start.trace;
    this.keptState = start.state;
    this.state = {
      get: () => this.alive().keptState,
      set: (value) => {
        this.alive().keptState = value;
        this.stateWasSet = true;
      },
    };
  }

  /** The latest message. */
  get message(): TurnMessage {
    const latest = this.messages.at(-1);
    if (latest === undefined) throw new Error('a turn has at least one message');
    return latest;
  }

  /** The messages before the latest, which the same turn decides. */
  get skipped(): readonly TurnMessage[] {
    return this.messages.slice(0, -1);
  }

  /** How many messages came since the last handler ran, the latest included. */
  get totalSinceLastHandler(): number {
    return this.messages.length;
  }

  /** Says something to where the message came from. Sent when the turn is committed. */
  reply(content: ReplyContent): void {
    this.alive().replies.push(toReply(content));
  }

  /** Closes the turn and answers what it wants to leave. For the turn's runner, not for agents. */
  finish(): { replies: readonly Reply[]; state?: { value: unknown } } {
    this.isOver = true;
    return { replies: this.replies, ...(this.stateWasSet ? { state: { value: this.keptState } } : {}) };
  }

  private alive(): this {
    if (this.isOver) throw new TurnOverError(this.runId);
    return this;
  }
}

export function toReply(content: ReplyContent): Reply {
  if (typeof content === 'string') return { kind: 'reply', text: content };
  return {
    kind: 'reply',
    ...(content.text === undefined ? {} : { text: content.text }),
    ...(content.data === undefined ? {} : { data: content.data as Reply['data'] }),
  };
}
