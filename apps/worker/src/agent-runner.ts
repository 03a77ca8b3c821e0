import { LanekeeperError, type SessionTokens } from '#contracts';
import { applyAnswer, runAsCurrentTurn, Turn, type TurnHandler, type TurnMessage } from '#agents';
import type { TurnOutcome, TurnRunner, TurnWork } from '#lanes';
import { runInTrace } from '#telemetry';

/** Runs turns by calling the handler of their agent. */
export class AgentRunner implements TurnRunner {
  /** `handlers`: agent name -> handler. */
  constructor(private readonly handlers: ReadonlyMap<string, TurnHandler>) {}

  knows(key: SessionTokens): boolean {
    return this.handlers.has(key.agentToken);
  }

  runsOutside(): boolean {
    return false;
  }

  async run(work: TurnWork): Promise<TurnOutcome> {
    const turn = makeTurn(work);
    try {
      const handler = this.handlers.get(turn.agent);
      if (handler === undefined) throw new LanekeeperError('no_handler', `agent ${turn.agent} has no handler`);
      const answer = await runInTrace(turn.trace, () => runAsCurrentTurn(turn, () => handler(turn)));
      applyAnswer(turn, answer);
      return { kind: 'succeeded', ...turn.finish() };
    } catch (error) {
      turn.finish();
      return { kind: 'failed', error: describeError(error) };
    }
  }
}

function makeTurn({ key, batch, state, signal }: TurnWork): Turn {
  const latest = batch.items.at(-1);
  return new Turn({
    runId: batch.runId,
    attempt: batch.attempt,
    agentToken: key.agentToken,
    sessionToken: key.sessionToken,
    messages: batch.items.flatMap((item): TurnMessage[] => {
      if (!item.content.ok) return [];
      const { v: _version, kind: _kind, replyTo: _replyTo, ...message } = item.content.message;
      return [{ ...message, seq: item.seq }];
    }),
    state,
    signal,
    trace:
      latest?.traceparent === undefined
        ? undefined
        : {
            traceparent: latest.traceparent,
            ...(latest.tracestate === undefined ? {} : { tracestate: latest.tracestate }),
          },
  });
}

const MAX_ERROR_CHARS = 2_000;

/** Anything may be thrown; the record keeps its name and a bounded text. */
function describeError(error: unknown): { name: string; message: string } {
  if (error instanceof LanekeeperError) return { name: error.code, message: error.message.slice(0, MAX_ERROR_CHARS) };
  if (error instanceof Error) return { name: error.name, message: error.message.slice(0, MAX_ERROR_CHARS) };
  return { name: 'Error', message: String(error).slice(0, MAX_ERROR_CHARS) };
}
