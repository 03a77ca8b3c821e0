import { setTimeout as sleep } from 'node:timers/promises';
import type { DemoAgent } from './demo-agent.js';
import type { Question } from './timeline.js';

/** The request that this product began with, in less time: a long question in one topic, a quick one in another. */
const SCRIPT = [
  { topic: 'A', text: 'Research the latest YOLO models and compare them', afterMs: 0, workMs: 6_000 },
  { topic: 'B', text: 'What time is it?', afterMs: 1_000, workMs: 500 },
] as const;

export interface StoryOptions {
  readonly ingressUrl: string;
  readonly agent: DemoAgent;
  /** Session of a topic: this alone differs between the two runs. */
  readonly sessionOf: (topic: string) => string;
  readonly tell: (atMs: number, line: string) => void;
}

interface TurnAnswer {
  readonly replies: readonly { readonly text: string }[];
}

/** Plays the story once, for real, and tells it as it happens. */
export async function playStory({ ingressUrl, agent, sessionOf, tell }: StoryOptions): Promise<Question[]> {
  const begin = performance.now();
  const elapsedMs = (): number => performance.now() - begin;
  return Promise.all(
    SCRIPT.map(async ({ topic, text, afterMs, workMs }): Promise<Question> => {
      await sleep(afterMs);
      const id = `${sessionOf(topic)}-${topic}`;
      const sentAtMs = elapsedMs();
      tell(sentAtMs, `Topic ${topic} asks: ${text}`);
      const session = encodeURIComponent(sessionOf(topic));
      const response = await fetch(`${ingressUrl}/v1/agents/main/sessions/${session}/messages?wait=60s`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ id, text, thread: topic, data: { workMs } }),
      });
      const { replies } = (await response.json()) as TurnAnswer;
      const answer = replies.at(-1)?.text ?? 'no answer';
      const answeredAtMs = elapsedMs();
      tell(answeredAtMs, `Topic ${topic} is answered: ${answer}`);
      const startedAtMs = (agent.startedAt.get(id) ?? begin + sentAtMs) - begin;
      return { topic, text, sentAtMs, startedAtMs, answeredAtMs, answer };
    }),
  );
}
