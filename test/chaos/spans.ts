import type { Span } from './history.js';

/** How much of a span lies in others, or in the time that their healing takes - ms. */
export function timeIn(spans: readonly Span[], from: number, to: number, healedAfterMs: number): number {
  let sum = 0;
  let reached = from;
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    const begin = Math.max(reached, span.from);
    const end = Math.min(to, span.to + healedAfterMs);
    if (end <= begin) continue;
    sum += end - begin;
    reached = end;
  }
  return sum;
}

/** When so much time has passed that lies in none of these spans. */
export function timeOutside(spans: readonly Span[], from: number, lastsMs: number): number {
  let until = from + lastsMs;
  for (;;) {
    const next = from + lastsMs + timeIn(spans, from, until, 0);
    if (next === until) return until;
    until = next;
  }
}
