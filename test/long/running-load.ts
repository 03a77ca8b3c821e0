import { until } from '#testing';
import type { ApiClient } from '../support/api-client.js';
import { answerJson, startAgent, type RecordingAgent } from '../support/recording-agent.js';

/** Turns that are always running: each session's next message is sent when its turn was answered. */
export interface RunningLoad extends AsyncDisposable {
  readonly agent: RecordingAgent;
  /** How many turns run at the agent now. */
  readonly running: number;
  /** Messages whose turn was called again, by how often. Every call is answered well, so there is never a reason to. */
  twice(): readonly string[];
  begin(api: ApiClient, sessions: number): void;
  /** Sends nothing more, and resolves when every message that was taken is answered. */
  end(): Promise<void>;
}

/** Longer than an election, so that it finds most of them in work; no two end together. */
const SHORTEST_MS = 8_000;
const LONGEST_MS = 16_000;

export async function startRunningLoad(): Promise<RunningLoad> {
  const times = new Map<string, number>();
  const answered = new Set<string>();
  const inWork = new Set<object>();
  const timers = new Set<NodeJS.Timeout>();
  const sending = new Set<Promise<void>>();
  let isOver = false;
  let sendNext = (_session: string): void => {};
  const agent = await startAgent((call, response, count) => {
    for (const { id } of call.messages) times.set(id, (times.get(id) ?? 0) + 1);
    inWork.add(call);
    const lastsMs = SHORTEST_MS + ((count * 1_237) % (LONGEST_MS - SHORTEST_MS));
    const timer = setTimeout(() => {
      timers.delete(timer);
      inWork.delete(call);
      answerJson(response, {});
      const isFirst = !answered.has(call.message.id);
      for (const { id } of call.messages) answered.add(id);
      if (isFirst) sendNext(call.session);
    }, lastsMs);
    timers.add(timer);
  });
  const sent = new Map<string, number>();
  const send = async (api: ApiClient, session: string): Promise<void> => {
    if (isOver) return;
    const number = (sent.get(session) ?? 0) + 1;
    sent.set(session, number);
    // An election of the inbox is a 503, after which the same id is sent again.
    const isTaken = async (): Promise<boolean> =>
      (await api.send(session, { id: `${session}-${number}`, text: 'work' })).status === 202;
    await until(`${session} takes its message ${number}`, isTaken, { timeoutMs: 120_000 });
  };
  return {
    agent,
    get running() {
      return inWork.size;
    },
    twice: () => [...times].filter(([, count]) => count > 1).map(([id, count]) => `${id}: ${count} calls`),
    begin(api, sessions) {
      sendNext = (session) => {
        const one = send(api, session).finally(() => sending.delete(one));
        sending.add(one);
      };
      for (let i = 0; i < sessions; i++) sendNext(`s${i}`);
    },
    async end() {
      isOver = true;
      await Promise.all(sending);
      const isAnswered = (): boolean =>
        [...sent].every(([session, count]) => answered.has(`${session}-${count}`)) && inWork.size === 0;
      await until('every message is answered', isAnswered, { timeoutMs: 120_000 });
    },
    async [Symbol.asyncDispose]() {
      isOver = true;
      for (const timer of timers) clearTimeout(timer);
      await agent[Symbol.asyncDispose]();
    },
  };
}
