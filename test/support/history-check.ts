import { expect } from 'vitest';
import type { ApiRecord } from './api-client.js';

/** Every message of a session is decided by exactly one record, and the records go in inbox order (L1, L2). */
export function expectDecidedOnceInOrder(records: readonly ApiRecord[], ids: readonly string[]): void {
  const decided = records.flatMap(({ messages }) => messages);
  expect(decided.map(({ id }) => id)).toEqual(ids);
  const seqs = decided.map(({ seq }) => seq);
  expect(seqs).toEqual([...new Set(seqs)].toSorted((a, b) => a - b));
}

/** No two turns of one session overlap (L1). */
export function expectSerial(records: readonly ApiRecord[]): void {
  const turns = records.filter(({ kind }) => kind === 'turn');
  turns.slice(1).forEach((turn, i) => {
    expect(turn.startedAt ?? 0).toBeGreaterThanOrEqual(turns[i]?.endedAt ?? Number.POSITIVE_INFINITY);
  });
}

/** How many turns ran at once at most. */
export function greatestOverlap(records: readonly ApiRecord[]): number {
  const edges = records
    .flatMap(({ startedAt = 0, endedAt = 0 }) => [
      [startedAt, 1],
      [endedAt, -1],
    ])
    .toSorted(([a = 0, x = 0], [b = 0, y = 0]) => a - b || x - y);
  let running = 0;
  let most = 0;
  for (const [, step = 0] of edges) most = Math.max(most, (running += step));
  return most;
}
