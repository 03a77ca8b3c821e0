import {
  describeThrown,
  LanekeeperError,
  RetryLaterError,
  TerminalError,
  type InboxMessage,
  type QueueSettings,
  type SessionTokens,
} from '#contracts';
import { applyAnswer, runAsCurrentTurn, Turn, type TurnHandler, type TurnMessage } from '#agents';
import type { TaskPorts, TurnOutcome, TurnPolicy, TurnRunner, TurnWork } from '#lanes';
import type { TaskHolding } from '#guards';
import { runInTrace } from '#telemetry';
import type { GuardedRuns } from './guarded-runs.js';

/** What of a message may choose how it waits. */
export type QueuedMessage = Pick<InboxMessage, 'channel' | 'strategy'>;

/** An agent that can run: its handler and its limits. */
export interface BoundAgent {
  readonly handler: TurnHandler;
  readonly policy: TurnPolicy;
  readonly queueing: (message?: QueuedMessage) => QueueSettings;
  /** Runs outside this process, so that a crash of ours does not end its work. */
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
      // Cancelled or out of time in between: its handler is not called for nothing.
      work.signal.throwIfAborted();
      const { holding } = admission;
      const outcome = await this.call(work, holding);
      // Somebody else may have run it too: what it came to is not to be said as if it had run once.
      if (outcome.kind === 'succeeded') holding?.lost.throwIfAborted();
      return outcome;
    } catch (error) {
      return failed(error);
    }
  }

  private async call(work: TurnWork, holding?: TaskHolding): Promise<TurnOutcome> {
    const turn = makeTurn(work, this.guarded, holding);
    // From then on every call of the Turn throws: a handler that goes on after its time can change nothing.
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

function failed(error: unknown): TurnOutcome {
  return { kind: 'failed', error: describeThrown(error), ...whatNext(error) };
}

/** What the error asks for; anything but our own two errors is tried again with backoff. */
function whatNext(error: unknown): { next?: 'never' | { laterMs: number } } {
  if (error instanceof TerminalError) return { next: 'never' };
  if (error instanceof RetryLaterError) return { next: { laterMs: error.retryAfterMs } };
  return {};
}

/** `holding`: of the task that its message starts. */
function makeTurn(work: TurnWork, guarded: GuardedRuns | undefined, holding: TaskHolding | undefined): Turn {
  const { key, batch, state, deadline } = work;
  // Made when somebody asks: most turns never look at one, nor ask for a task.
  let either: AbortSignal | undefined;
  const signalOf = (): AbortSignal =>
    holding === undefined ? work.signal : (either ??= AbortSignal.any([work.signal, holding.lost]));
  const latest = batch.items.at(-1);
  const summarized = batch.items.slice(0, batch.summarized).filter(isMessage).length;
  return new Turn({
    runId: batch.runId,
    attempt: batch.attempt,
    agentToken: key.agentToken,
    sessionToken: key.sessionToken,
    messages: batch.items.flatMap(({ seq, content, isLate }) =>
      content.ok && content.message.kind === 'message' ? [toTurnMessage(seq, content.message, isLate)] : [],
    ),
    ...(summarized === 0 ? {} : { summarized }),
    state,
    isParallel: batch.isParallel,
    deadline,
    get signal() {
      return signalOf();
    },
    get tasks() {
      return guarded?.keeperFor(work, signalOf);
    },
    ...(holding === undefined ? {} : { task: { key: holding.key, token: holding.token } }),
    trace:
      latest?.traceparent === undefined
        ? undefined
        : {
            traceparent: latest.traceparent,
            ...(latest.tracestate === undefined ? {} : { tracestate: latest.tracestate }),
          },
  });
}

/** How many items of a batch, from the first on, are there because a full queue summarizes. */
function isMessage({ content }: TurnWork['batch']['items'][number]): boolean {
  return content.ok && content.message.kind === 'message';
}

/** A copy: what a handler does to its messages must not reach the next attempt of the same run (L7). */
function toTurnMessage(seq: number, message: InboxMessage, isLate: true | undefined): TurnMessage {
  const { id, text, data, author, channel, thread, sequence, sentAt } = message;
  return {
    id,
    seq,
    ...(text === undefined ? undefined : { text }),
    ...(data === undefined ? undefined : { data: structuredClone(data) }),
    ...(author === undefined ? undefined : { author: { ...author } }),
    ...(channel === undefined ? undefined : { channel }),
    ...(thread === undefined ? undefined : { thread }),
    ...(sequence === undefined ? undefined : { sequence }),
    ...(isLate === undefined ? undefined : { late: true as const }),
    ...(sentAt === undefined ? undefined : { sentAt }),
  };
}
