import { describe, expect, it } from 'vitest';
import { AgentNeeds, MAX_NEEDS, TURN_MS, type AgentNeed } from './agent-needs.js';

/** An owner of the shard since 0 that has these agents. */
function ownerWith(agents: readonly string[], former: readonly AgentNeed[] = []) {
  const needs = new AgentNeeds(former, (agent) => agents.includes(agent), 0);
  const list = (
    now: number,
    seen: { waiting?: readonly string[]; used?: readonly string[]; isPartial?: boolean; stepMs?: number } = {},
  ): readonly AgentNeed[] => {
    const { waiting = [], used = [], isPartial = false, stepMs = 1 } = seen;
    return needs.list({ waiting, isPartial, isUsed: (agent) => used.includes(agent) }, now, stepMs);
  };
  const names = (...asked: Parameters<typeof list>): string[] => list(...asked).map(({ agent }) => agent);
  return { needs, list, names };
}

const need = (agent: string, waitedMs = 0): AgentNeed => ({ agent, waitedMs });

describe('what a shard needs', () => {
  it('is told at once of an agent that its owner lacks, and no more when none of its messages is left', () => {
    const { names } = ownerWith(['main']);
    expect(names(0)).toEqual([]);
    expect(names(1, { waiting: ['research'] })).toEqual(['research']);
    expect(names(2)).toEqual([]);
  });

  it('keeps a shard with the worker that got it for an agent for a turn, and then as long as that is used', () => {
    const { names } = ownerWith(['research'], [need('research', 500)]);
    expect(names(TURN_MS - 1)).toEqual(['research']);
    expect(names(TURN_MS, { used: ['research'] })).toEqual(['research']);
    expect(names(TURN_MS + 1)).toEqual([]);
  });

  it('gives agents of disjoint workers the shard in turns', () => {
    const first = ownerWith(['research'], [need('research')]);
    const seen = { waiting: ['main'], used: ['research'] };
    expect(first.names(TURN_MS - 1, seen)).toEqual(['research', 'main']);
    const told = first.list(TURN_MS, seen);
    expect(told.map(({ agent }) => agent)).toEqual(['main', 'research']);
    const second = ownerWith(['main'], told);
    const back = { waiting: ['research', 'support'], used: ['main'] };
    expect(second.names(TURN_MS - 1, back)).toEqual(['main', 'research', 'support']);
    // The agent that has waited longest for a turn comes first; a new one comes last.
    expect(second.names(TURN_MS, back)).toEqual(['research', 'support', 'main']);
    expect(second.names(TURN_MS + 1, back)).toEqual(['research', 'support', 'main']);
  });

  it('still counts as former owners told it while messages may be unread', () => {
    const { names } = ownerWith(['main'], [need('research', 500), need('main')]);
    expect(names(1, { isPartial: true })).toEqual(['main', 'research']);
    expect(names(2)).toEqual(['main']);
  });

  it('counts how long an agent was waited for over owners in a row that lacked it', () => {
    const first = ownerWith(['main']);
    first.needs.waitsFor('research', 100);
    expect(first.needs.waitedMs('research', 700)).toBe(600);
    expect(first.list(700, { waiting: ['research'] })).toEqual([need('research', 600)]);
    const second = ownerWith(['main'], [need('research', 600)]);
    second.needs.waitsFor('research', 50);
    expect(second.needs.waitedMs('research', 150)).toBe(700);
    // In steps, since each is a write.
    expect(second.list(1_999, { waiting: ['research'], stepMs: 1_000 })).toEqual([need('research', 2_000)]);
    expect(second.list(2_100, { waiting: ['research'], stepMs: 1_000 })).toEqual([need('research', 2_000)]);
    const third = ownerWith(['research'], [need('research', 2_000)]);
    expect([third.list(0), third.needs.waitedMs('research', 0)]).toEqual([[need('research')], 0]);
  });

  it('has a bound, and those that were told before stay in it', () => {
    const { names } = ownerWith([]);
    const many = Array.from({ length: 50 }, (_, i) => `a${i}`);
    const told = names(0, { waiting: many });
    expect(told).toEqual(many.slice(0, MAX_NEEDS));
    expect(names(1, { waiting: many.toReversed() })).toEqual(told);
  });
});
