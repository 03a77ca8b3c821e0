import { expect, it } from 'vitest';
import { drawTimeline, lastAnswerMs } from './timeline.js';

const question = (topic: string, sentAtMs: number, startedAtMs: number, answeredAtMs: number) => ({
  topic,
  text: '',
  answer: '',
  sentAtMs,
  startedAtMs,
  answeredAtMs,
});

it('draws waiting as dots and work as blocks, on one scale', () => {
  const oneQueue = [question('A', 0, 0, 6_000), question('B', 1_000, 6_000, 6_500)];
  expect(lastAnswerMs(oneQueue)).toBe(6_500);
  expect(drawTimeline(oneQueue, 6_500).map((line) => line.trimEnd())).toEqual([
    `  A  ${'█'.repeat(44)}       answered after 6.0 s`,
    `  B  ${' '.repeat(7)}${'·'.repeat(37)}${'█'.repeat(4)}   answered after 5.5 s`,
  ]);
});

it('shows even the shortest work', () => {
  expect(drawTimeline([question('B', 0, 0, 1)], 10_000)[0]).toContain('█');
});
