import { afterEach, expect, it } from 'vitest';
import { expectNothingLeft } from '#testing';
import { runChaos } from './run-chaos.js';
import { summarize } from './summary.js';

afterEach(expectNothingLeft);

const MINUTE = {
  ...({ minutes: 1, seed: 1, nodes: 1, messages: 6_000, times: 'short' } as const),
  ...{ networks: false, disks: false },
};

it('a minute of kills, stops and cuts of every part: nothing lost, doubled or reordered (L1-L8, G1-G4)', async () => {
  const lines: string[] = [];
  const result = await runChaos({ ...MINUTE, say: (line) => lines.push(line) });
  const { history, violations } = result;
  // The difference that the runner prints is cut short, and what was violated is what a reader needs.
  const broken = violations.map((violation) => JSON.stringify(violation));
  const tried = [...lines, ...summarize(result).map((row) => row.join(': ')), ...broken].join('\n');
  expect(violations, `npm run chaos -- --minutes 1 --times short --seed ${MINUTE.seed}\n${tried}`).toEqual([]);
  // It has to have hurt.
  expect(history.faults.length).toBeGreaterThanOrEqual(5);
  expect(history.inbox.length).toBeGreaterThan(MINUTE.messages / 2);
  const steps = new Set(history.tasks.map(({ what, status }) => status ?? what));
  expect([...steps]).toEqual(expect.arrayContaining(['acquired', 'succeeded', 'failed', 'stale', 'approved']));
  const kinds = new Set(history.faults.map(({ kind }) => kind.split(' ').slice(0, 2).join(' ')));
  expect([...kinds]).toContain('jump clock');
  expect(history.outside.length).toBeGreaterThan(10);
  const ofHandlers = history.calls.filter(({ session, task }) => session.startsWith('hands') && task !== undefined);
  expect(ofHandlers.length).toBeGreaterThan(10);
  expect(new Set(history.calls.map(({ runId }) => runId)).size).toBeLessThan(history.calls.length);
});
