import type { ServerResponse } from 'node:http';
import { until } from '#testing';
import type { ApiClient } from './api-client.js';
import { answerJson, startAgent, type AgentBehaviour, type RecordingAgent } from './recording-agent.js';

/** An agent whose turns last as long as a test wants: those whose latest text is `hold`, until they are let go. */
export interface HoldingAgent extends RecordingAgent {
  /** Sends `hold` to the session, and waits until its turn runs. */
  hold(api: ApiClient, session: string): Promise<void>;
  /** Resolves when the session's turn runs and is held, and the test has not let it go. */
  isHeld(session: string): Promise<ServerResponse>;
  /** Ends the held turn of the session: with the reply `held`, or as the test says. */
  letGo(session: string, end?: (response: ServerResponse) => void): void;
}

const endWell = (response: ServerResponse): void => answerJson(response, { replies: ['held'] });

/** Other texts are answered as `behave` says. */
export async function startHoldingAgent(behave: AgentBehaviour): Promise<HoldingAgent> {
  const held = new Map<string, ServerResponse>();
  const agent = await startAgent((call, response, count) => {
    if (call.message.text !== 'hold') return behave(call, response, count);
    held.set(call.session, response);
  });
  const isHeld = (session: string): Promise<ServerResponse> =>
    until(`a turn of ${session} is held`, () => held.get(session));
  return {
    ...agent,
    isHeld,
    hold: async (api, session) => {
      await api.send(session, { id: 'hold', text: 'hold' });
      await isHeld(session);
    },
    letGo: (session, end = endWell) => {
      const response = held.get(session);
      if (response === undefined) throw new Error(`no turn of ${session} is held`);
      held.delete(session);
      end(response);
    },
  };
}
