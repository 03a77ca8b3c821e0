import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSettings } from '#config';
import { LanekeeperError } from '#contracts';
import { createLogger } from '#telemetry';
import { startUp } from '../start-up.js';
import { startDemoAgent } from './demo-agent.js';
import { playStory } from './story.js';
import { drawTimeline, lastAnswerMs, seconds, type Question } from './timeline.js';

/**
 * `lanekeeper demo`: the same two questions twice, on a real broker with a real agent over HTTP. First with one session for
 * all topics, which is one queue as a bot has it today; then with a session per topic.
 */
export async function runDemo(print: (line: string) => void): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'lanekeeper-demo-'));
  const agent = await startDemoAgent();
  const settings = loadSettings({
    env: {},
    cwd: dataDir,
    overrides: { dataDir, http: { port: 0 }, log: { level: 'error' }, agents: { main: { url: agent.url } } },
  });
  const log = createLogger({ level: 'error', service: 'demo' });
  const up = await startUp({ settings, log, signal: new AbortController().signal }, () => {});
  const tell = (atMs: number, line: string): void => print(`  ${seconds(atMs).padStart(6)}  ${line}`);
  const ingressUrl = up.url ?? '';
  // A Ctrl-C ends the story, not the cleaning up behind it.
  const interrupted = new Promise<never>((_resolve, reject) => {
    process.once('SIGINT', () => reject(new LanekeeperError('interrupted', 'the demo was interrupted')));
  });
  try {
    print('One queue: all topics in one session');
    const oneQueue = await Promise.race([
      playStory({ ingressUrl, agent, sessionOf: () => 'all-topics', tell }),
      interrupted,
    ]);
    print('\nLanekeeper: each topic is a session');
    const lanes = await Promise.race([
      playStory({ ingressUrl, agent, sessionOf: (topic) => `topic-${topic}`, tell }),
      interrupted,
    ]);
    printComparison(oneQueue, lanes, print);
  } finally {
    await up.stop();
    await agent.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

function printComparison(oneQueue: Question[], lanes: Question[], print: (line: string) => void): void {
  const scaleMs = Math.max(lastAnswerMs(oneQueue), lastAnswerMs(lanes));
  print('\nOne queue             (· waits, █ is worked on)');
  for (const line of drawTimeline(oneQueue, scaleMs)) print(line);
  print('\nLanekeeper');
  for (const line of drawTimeline(lanes, scaleMs)) print(line);
  const [before, now] = [oneQueue, lanes].map((run) => run.find(({ topic }) => topic === 'B'));
  if (before !== undefined && now !== undefined) {
    const wait = (question: Question): string => seconds(question.answeredAtMs - question.sentAtMs);
    print(`\nThe quick question was answered after ${wait(before)} behind the long one, after ${wait(now)} beside it.`);
  }
}
