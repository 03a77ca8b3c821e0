import { LanekeeperError, describeValue, makeJson, sessionNames, type JsonText, type Reply } from '#contracts';
import type { TraceContext } from '#telemetry';
import type { FailedMessage } from './message-verdicts.js';
import type { TurnMessage } from './turn-message.js';
import { OwnState, type StateEdit, type TurnState } from './turn-state.js';
import { summarize, type TurnSummary } from './turn-summary.js';
import { OwnTasks, type HeldTaskView, type TaskKeeper, type TurnTasks } from './turn-tasks.js';

/** A reply: a text, or an object with a text, JSON data, or both. */
export type ReplyContent = string | { readonly text?: string; readonly data?: unknown };

export interface TurnStart {
  readonly runId: string;
  readonly attempt: number;
  readonly agentToken: string;
  readonly sessionToken: string;
  readonly messages: readonly TurnMessage[];
  /** How many of the first messages a full queue summarized - default 0. */
  readonly summarized?: number;
  readonly state: JsonText | undefined;
  /**
   * Other turns of the session may run at the same time, so this turn may merge into the state but not set it - default
   * false.
   */
  readonly isParallel?: boolean;
  /** ms since the epoch. */
  readonly deadline: number;
  readonly signal: AbortSignal;
  readonly trace: TraceContext | undefined;
  /** Absent: the turn cannot acquire tasks. */
  readonly tasks?: TaskKeeper | undefined;
  /** The task that its message starts. */
  readonly task?: Pick<HeldTaskView, 'key' | 'token'>;
}

/** Thrown by every call of a `Turn` after its end. Its result is recorded already, or will never be. */
export class TurnOverError extends LanekeeperError {
  constructor(runId: string) {
    super('turn_over', `turn ${runId} is over: keep no Turn beyond its handler, and stop when turn.signal aborts`);
  }
}

/**
 * One run of a handler over a fixed batch of messages of one session.
 *
 * The same `runId` always has the same `messages` (L7), whatever the `attempt`, so it is the idempotency key for calls
 * to other systems. Replies and state are committed in one write when the handler returns. When it throws, nothing is
 * committed.
 */
export class Turn {
  readonly runId: string;
  /** 1 for the first try of this batch. */
  readonly attempt: number;
  readonly agent: string;
  readonly session: string;
  /** All messages that this turn decides, in order. */
  readonly messages: readonly TurnMessage[];
  /** Trace context of the latest message; `undefined` when its sender gave none. */
  readonly trace: TraceContext | undefined;
  private readonly start: TurnStart;
  private readonly replies: Reply[] = [];
  private failed: readonly FailedMessage[] | undefined;
  private ownState: OwnState | undefined;
  private ownTasks: OwnTasks | undefined;
  private isOver = false;

  constructor(start: TurnStart) {
    this.runId = start.runId;
    this.attempt = start.attempt;
    ({ agent: this.agent, session: this.session } = sessionNames(start));
    this.messages = start.messages;
    this.trace = start.trace;
    this.start = start;
  }

  /** Created on first use: most short turns have no state. */
  get state(): TurnState {
    this.ownState ??= new OwnState(this.start.state, this.isParallel, () => void this.alive());
    return this.ownState;
  }

  /** Runs work that must not run twice at the same time, nor again after a failure without approval. */
  get tasks(): TurnTasks {
    this.ownTasks ??= new OwnTasks(this, this.start.tasks, () => void this.alive());
    return this.ownTasks;
  }

  /**
   * The task that the turn's message starts. The turn holds it until it ends. `undefined` when the message names none.
   */
  get task(): Pick<HeldTaskView, 'key' | 'token'> | undefined {
    return this.start.task;
  }

  /**
   * Other turns of the session may run at the same time (strategy `concurrent`): `state.merge` works, `state.set`
   * throws.
   */
  get isParallel(): boolean {
    return this.start.isParallel === true;
  }

  /** The latest time at which `signal` aborts. */
  get deadline(): Date {
    return new Date(this.start.deadline);
  }

  /** Aborts when the handler must stop: timeout, stop of the worker, or another run may hold the message's task. */
  get signal(): AbortSignal {
    return this.start.signal;
  }

  /** The latest message. */
  get message(): TurnMessage {
    const latest = this.messages.at(-1);
    if (latest === undefined) throw new Error('a turn has at least one message');
    return latest;
  }

  /** The messages before the latest. The same turn decides them. */
  get skipped(): readonly TurnMessage[] {
    return this.messages.slice(0, -1);
  }

  /** Number of messages since the last handler ran, including the latest. */
  get totalSinceLastHandler(): number {
    return this.messages.length;
  }

  /** Summary of the first messages, when a full queue was summarized. `undefined` when it was not full. */
  get summary(): TurnSummary | undefined {
    const { summarized = 0 } = this.start;
    return summarized > 0 ? summarize(this.messages.slice(0, summarized)) : undefined;
  }

  /** Adds a reply to the sender's channel. It is sent when the turn is committed. */
  reply(content: ReplyContent): void {
    this.alive().replies.push(toReply(content));
  }

  /**
   * These messages end dead, whatever happens to the others. For the reader of answers: an agent names them in its
   * answer.
   */
  failMessages(failed: readonly FailedMessage[]): void {
    if (failed.length > 0) this.alive().failed = failed;
  }

  /** Ends the turn and returns its results. For the runner of turns, not for agents. */
  finish(): { replies: readonly Reply[]; state?: StateEdit; failed?: readonly FailedMessage[] } {
    this.isOver = true;
    const state = this.ownState?.change();
    const left = { replies: this.replies, ...(state === undefined ? {} : { state }) };
    return this.failed === undefined ? left : { ...left, failed: this.failed };
  }

  private alive(): this {
    if (this.isOver) throw new TurnOverError(this.runId);
    return this;
  }
}

/** Types are not checked at run time, and a record whose `text` is not a string could never be read. */
export class ReplyError extends LanekeeperError {
  constructor(found: string) {
    super(
      'bad_reply',
      `turn.reply(): found ${found}; wanted a text or {text?, data?} with a text in text and JSON in data`,
    );
  }
}

export function toReply(content: ReplyContent): Reply {
  if (typeof content === 'string') return { kind: 'reply', text: checkText(content) };
  if (typeof content !== 'object' || content === null) throw new ReplyError(describeValue(content));
  const { text, data } = content;
  if (text !== undefined && typeof text !== 'string') throw new ReplyError(describeValue(content));
  const reply: Reply = { kind: 'reply' };
  if (text !== undefined) reply.text = checkText(text);
  if (data !== undefined) reply.data = toJson(data);
  return reply;
}

/** A text cut inside a character has no UTF-8 form. It would arrive changed. */
function checkText(text: string): string {
  if (!text.isWellFormed()) throw new ReplyError('a text with half a surrogate pair');
  return text;
}

function toJson(data: unknown): JsonText {
  const made = makeJson(data);
  if (made.ok) return made.json;
  const { field, found } = made.fault;
  throw new ReplyError(`${found} in data${field === '' ? '' : `.${field}`}`);
}
