import { LanekeeperError, describeValue, makeJson, sessionNames, type JsonText, type Reply } from '#contracts';
import type { TraceContext } from '#telemetry';
import type { FailedMessage } from './message-verdicts.js';
import type { TurnMessage } from './turn-message.js';
import { OwnState, type StateEdit, type TurnState } from './turn-state.js';
import { summarize, type TurnSummary } from './turn-summary.js';
import { OwnTasks, type HeldTaskView, type TaskKeeper, type TurnTasks } from './turn-tasks.js';

/** What a reply may be: a text, or a text and/or any JSON. */
export type ReplyContent = string | { readonly text?: string; readonly data?: unknown };

export interface TurnStart {
  readonly runId: string;
  readonly attempt: number;
  readonly agentToken: string;
  readonly sessionToken: string;
  readonly messages: readonly TurnMessage[];
  /** How many of them, from the first on, a full queue summarized - default 0. */
  readonly summarized?: number;
  readonly state: JsonText | undefined;
  /** Other turns of the session run beside it: it may merge into the state, and not set it - default false. */
  readonly isParallel?: boolean;
  /** ms since the epoch. */
  readonly deadline: number;
  readonly signal: AbortSignal;
  readonly trace: TraceContext | undefined;
  /** Absent = the turn can get no tasks. */
  readonly tasks?: TaskKeeper | undefined;
  /** The task that its message starts. */
  readonly task?: Pick<HeldTaskView, 'key' | 'token'>;
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

  /** Made when somebody asks: most short turns keep nothing. */
  get state(): TurnState {
    this.ownState ??= new OwnState(this.start.state, this.isParallel, () => void this.alive());
    return this.ownState;
  }

  /** Work that must not run twice at once, nor again after a failure without approval. */
  get tasks(): TurnTasks {
    this.ownTasks ??= new OwnTasks(this, this.start.tasks, () => void this.alive());
    return this.ownTasks;
  }

  /** The task that its message starts, which this turn holds until it ends; `undefined` when it names none. */
  get task(): Pick<HeldTaskView, 'key' | 'token'> | undefined {
    return this.start.task;
  }

  /** Other turns of the session run beside this one (strategy `concurrent`): `state` may be merged into, and not set. */
  get isParallel(): boolean {
    return this.start.isParallel === true;
  }

  /** When `signal` aborts at the latest. */
  get deadline(): Date {
    return new Date(this.start.deadline);
  }

  /** Aborts when the handler has to stop: the time is over, the worker stops, or somebody else may have its message's task. */
  get signal(): AbortSignal {
    return this.start.signal;
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

  /** What a full queue summarized of `messages`, whose first ones they are; `undefined` when nothing was too much. */
  get summary(): TurnSummary | undefined {
    const { summarized = 0 } = this.start;
    return summarized > 0 ? summarize(this.messages.slice(0, summarized)) : undefined;
  }

  /** Says something to where the message came from. Sent when the turn is committed. */
  reply(content: ReplyContent): void {
    this.alive().replies.push(toReply(content));
  }

  /** These end dead, whatever becomes of the others. For the reader of answers: an agent says it in what it answers. */
  failMessages(failed: readonly FailedMessage[]): void {
    if (failed.length > 0) this.alive().failed = failed;
  }

  /** Closes the turn and answers what it wants to leave. For the turn's runner, not for agents. */
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

/** Types are gone at run time, and a record with a `text` that is none could never be read back. */
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

/** Cut in the middle of a character, it has no UTF-8 form: it would arrive as another text. */
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
