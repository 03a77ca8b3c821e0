import {
  BatchRefusedError,
  describeThrown,
  LanekeeperError,
  RetryLaterError,
  TerminalError,
  type InboxMessage,
  type JsonText,
  type QueueSettings,
  type SessionTokens,
} from '#contracts';
import {
  AgentFailedError,
  applyAnswer,
  runAsCurrentTurn,
  toTurnMessage,
  Turn,
  type TaskKeeper,
  type TurnHandler,
  type TurnMessage,
  type TurnStart,
} from '#agents';
import type { TaskPorts, TurnOutcome, TurnPolicy, TurnRunner, TurnWork } from '#lanes';
import type { TaskHolding } from '#guards';
import { runInTrace, type TraceContext } from '#telemetry';
import type { GuardedRuns } from '../tasks/guarded-runs.js';
import { isUnclear } from '../tasks/task-attempts.js';

/** Message fields that affect queueing. */
export type QueuedMessage = Pick<InboxMessage, 'channel' | 'strategy'>;

/** An agent that can run: its handler and its limits. */
export interface BoundAgent {
  readonly handler: TurnHandler;
  readonly policy: TurnPolicy;
  readonly queueing: (message?: QueuedMessage) => QueueSettings;
  /** The agent runs outside this process, so its work goes on when this process crashes. */
  readonly isOutside: boolean;
}

/** Runs turns by calling the handler of their agent. */
export class AgentRunner implements TurnRunner {
  constructor(
    private readonly agents: ReadonlyMap<string, BoundAgent>,
    private readonly guarded?: GuardedRuns,
  ) {}

  get tasks(): TaskPorts | undefined {
    return this.guarded;
  }

  knows(key: SessionTokens): boolean {
    return this.agents.has(key.agentToken);
  }

  policyOf(key: SessionTokens): TurnPolicy {
    return this.agentOf(key).policy;
  }

  queueingOf(key: SessionTokens, message?: QueuedMessage): QueueSettings {
    return this.agentOf(key).queueing(message);
  }

  runsOutside(key: SessionTokens): boolean {
    return this.agentOf(key).isOutside;
  }

  run(work: TurnWork): Promise<TurnOutcome> {
    const { guarded } = this;
    const { runId, task, tasks } = work.batch;
    if (guarded === undefined || (task === undefined && tasks === undefined)) return this.call(work);
    return guarded.following(runId, this.runGuarded(work, guarded));
  }

  private async runGuarded(work: TurnWork, guarded: GuardedRuns): Promise<TurnOutcome> {
    try {
      const admission = await guarded.admit(work);
      if (admission.kind === 'refused') return admission;
      // The turn may have been cancelled or timed out while the guard was asked. Then the handler is not called.
      work.signal.throwIfAborted();
      const { holding } = admission;
      const outcome = await this.call(work, holding);
      // The holding was lost, so another run may have done the task too. The turn must not report success.
      if (outcome.kind === 'succeeded') holding?.lost.throwIfAborted();
      return outcome;
    } catch (error) {
      return failed(error);
    }
  }

  private async call(work: TurnWork, holding?: TaskHolding): Promise<TurnOutcome> {
    let turn: Turn;
    try {
      turn = makeTurn(work, this.guarded, holding);
    } catch (error) {
      return notPrepared(error);
    }
    // When the turn is over, every call of `Turn` throws. A handler that ignores its abort can change nothing.
    work.onOver(() => turn.finish());
    try {
      const { handler } = this.agentOf(work.key);
      const answer = await runInTrace(turn.trace, () => runAsCurrentTurn(turn, () => handler(turn)));
      applyAnswer(turn, answer);
      return { kind: 'succeeded', ...turn.finish() };
    } catch (error) {
      turn.finish();
      return failed(error);
    }
  }

  private agentOf({ agentToken }: SessionTokens): BoundAgent {
    const agent = this.agents.get(agentToken);
    if (agent === undefined) throw new LanekeeperError('no_handler', `agent ${agentToken} has no handler`);
    return agent;
  }
}

type Failed = Extract<TurnOutcome, { kind: 'failed' }>;

function failed(error: unknown): Failed {
  const outcome: Failed = { kind: 'failed', error: describeThrown(error), ...whatNext(error) };
  return isUnclear(error) ? { ...outcome, isUnclear: true } : outcome;
}

/**
 * The handler was not called, so this is not its failure. A batch of several messages is split, and only the message
 * that cannot be prepared ends dead.
 */
function notPrepared(error: unknown): Failed {
  const message = `its messages cannot be put before the agent: ${describeThrown(error).message}`;
  return { kind: 'failed', error: { name: 'turn_not_prepared', message }, next: 'split' };
}

/** What the error asks for. Any error that is not one of ours leads to a retry with backoff. */
function whatNext(error: unknown): Pick<Failed, 'next'> {
  if (error instanceof BatchRefusedError) return { next: 'split' };
  if (error instanceof TerminalError) return { next: 'never' };
  if (error instanceof RetryLaterError) return { next: { laterMs: error.retryAfterMs } };
  if (error instanceof AgentFailedError && error.notWithinMs > 0) return { next: { notWithinMs: error.notWithinMs } };
  return {};
}

/** `holding` is that of the task that the message starts. */
function makeTurn(work: TurnWork, guarded: GuardedRuns | undefined, holding: TaskHolding | undefined): Turn {
  return new Turn(new BatchStart(work, guarded, holding));
}

/**
 * Input of a turn. It is a class because some values are made only on request. An object literal with getters gets a
 * new shape each time. That shape keeps the getters, and so the whole turn, in memory until the next full collection.
 */
class BatchStart implements TurnStart {
  readonly runId: string;
  readonly attempt: number;
  readonly agentToken: string;
  readonly sessionToken: string;
  readonly messages: readonly TurnMessage[];
  readonly summarized: number;
  readonly state: JsonText | undefined;
  readonly isParallel: boolean;
  readonly deadline: number;
  readonly trace: TraceContext | undefined;
  private either: AbortSignal | undefined;

  constructor(
    private readonly work: TurnWork,
    private readonly guarded: GuardedRuns | undefined,
    private readonly holding: TaskHolding | undefined,
  ) {
    const { key, batch, state, deadline } = work;
    this.runId = batch.runId;
    this.attempt = batch.attempt;
    this.agentToken = key.agentToken;
    this.sessionToken = key.sessionToken;
    this.messages = messagesOf(batch.items);
    this.summarized = batch.summarized === 0 ? 0 : messagesOf(batch.items.slice(0, batch.summarized)).length;
    this.state = state;
    this.isParallel = batch.isConcurrent;
    this.deadline = deadline;
    this.trace = traceOf(batch.items.at(-1));
  }

  get signal(): AbortSignal {
    const { work, holding } = this;
    return holding === undefined ? work.signal : (this.either ??= AbortSignal.any([work.signal, holding.lost]));
  }

  get tasks(): TaskKeeper | undefined {
    return this.guarded?.keeperFor(this.work, () => this.signal);
  }

  get task(): { readonly key: string; readonly token: number } | undefined {
    return this.holding === undefined ? undefined : { key: this.holding.key, token: this.holding.token };
  }
}

function messagesOf(items: TurnWork['batch']['items']): TurnMessage[] {
  const messages: TurnMessage[] = [];
  for (const { seq, content, isLate } of items) {
    if (content.ok && content.message.kind === 'message') messages.push(toTurnMessage(seq, content.message, isLate));
  }
  return messages;
}

function traceOf(latest: TurnWork['batch']['items'][number] | undefined): TraceContext | undefined {
  if (latest?.traceparent === undefined) return undefined;
  const { traceparent, tracestate } = latest;
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate };
}
