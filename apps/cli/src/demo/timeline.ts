/** A question of the story and what became of it; times in ms from the begin of its run. */
export interface Question {
  readonly topic: string;
  readonly text: string;
  readonly sentAtMs: number;
  readonly startedAtMs: number;
  readonly answeredAtMs: number;
  readonly answer: string;
}

const WIDTH = 48;

/**
 * One run as lines of text: a dot while a question waits, a block while it is worked on. `scaleMs` is the length of the
 * whole axis, so that two runs can be compared by eye.
 */
export function drawTimeline(questions: readonly Question[], scaleMs: number): string[] {
  const column = (ms: number): number => Math.round((ms / scaleMs) * WIDTH);
  return questions.map(({ topic, sentAtMs, startedAtMs, answeredAtMs }) => {
    const before = column(sentAtMs);
    const waiting = Math.max(0, column(startedAtMs) - before);
    const working = Math.max(1, column(answeredAtMs) - before - waiting);
    const bar = ' '.repeat(before) + '·'.repeat(waiting) + '█'.repeat(working);
    return `  ${topic}  ${bar.padEnd(WIDTH + 1)}  answered after ${seconds(answeredAtMs - sentAtMs)}`;
  });
}

export function lastAnswerMs(questions: readonly Question[]): number {
  return Math.max(...questions.map(({ answeredAtMs }) => answeredAtMs));
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
