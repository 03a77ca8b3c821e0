import { describe, expect, it } from 'vitest';
import type { SessionAnswer } from '#contracts';
import { readDecision } from './decided-message.js';
import { decidedStatus, pendingStatus } from './message-status.js';
import type { StoredRecord } from '../sessions/session-history.client.js';

type Answer = Parameters<typeof pendingStatus>[2];
const answer = (more: Partial<SessionAnswer> & { window?: object }): Answer =>
  ({ state: 'running', depth: 0, oldestMs: null, worker: 'w/1', ...more }) as Answer;
const running = { runId: 'r1', attempt: 1, seqs: [1, 2], startedAt: 1 };
const retry = { runId: 'r2', attempt: 2, seqs: [1, 2], notBefore: 5_000 };

describe('a message that is not decided', () => {
  it('runs when the worker runs it', () => {
    expect(pendingStatus(2, [1], answer({ running }))).toEqual({
      ...{ seq: 2, disposition: 'running', runId: 'r1', attempt: 1 },
    });
  });

  it('has its place among those that wait: what runs is not before it', () => {
    expect(pendingStatus(3, [1, 2], answer({ running }))).toEqual({ seq: 3, disposition: 'queued', position: 1 });
    expect(pendingStatus(5, [1, 2, 3, 4], answer({ running }))).toMatchObject({ position: 3 });
    expect(pendingStatus(5, [], answer({ running }))).toMatchObject({ position: 1 });
  });

  it('waits for the next attempt of its run, and what comes behind it is queued behind all of it', () => {
    const waiting = { seq: 2, disposition: 'waiting', position: 2, runId: 'r2', attempt: 2, notBefore: 5_000 };
    expect(pendingStatus(2, [1], answer({ state: 'retrying', retry }))).toEqual(waiting);
    const behind = pendingStatus(3, [1, 2], answer({ state: 'retrying', retry }));
    expect(behind).toEqual({ seq: 3, disposition: 'queued', position: 3 });
  });

  it('waits for the end of its window, when the worker tells of one', () => {
    const open = answer({ state: 'queued', window: { seqs: [4, 5], endsAt: 9_000 } });
    expect(pendingStatus(5, [4], open)).toEqual({ seq: 5, disposition: 'waiting', position: 2, notBefore: 9_000 });
    expect(pendingStatus(6, [4, 5], open)).toEqual({ seq: 6, disposition: 'queued', position: 3 });
  });

  describe('beside turns that run at once', () => {
    const concurrent = [
      { runId: 'c1', attempt: 1, seqs: [1], startedAt: 1 },
      { runId: 'c2', attempt: 2, seqs: [2], notBefore: 7_000 },
      { runId: 'c3', attempt: 1, seqs: [4], startedAt: 2 },
    ];
    const several = answer({ concurrent });

    it('runs in its own one, or waits for its next attempt', () => {
      expect(pendingStatus(1, [], several)).toEqual({ seq: 1, disposition: 'running', runId: 'c1', attempt: 1 });
      expect(pendingStatus(4, [1, 2, 3], several)).toEqual({ seq: 4, disposition: 'running', runId: 'c3', attempt: 1 });
      const waiting = { disposition: 'waiting', position: 1, runId: 'c2', attempt: 2, notBefore: 7_000 };
      expect(pendingStatus(2, [1], several)).toEqual({ seq: 2, ...waiting });
    });

    it('has only those before it that wait', () => {
      expect(pendingStatus(5, [1, 2, 3, 4], several)).toEqual({ seq: 5, disposition: 'queued', position: 3 });
      const both = answer({ concurrent, running: { ...running, seqs: [3] } });
      expect(pendingStatus(5, [1, 2, 3, 4], both)).toEqual({ seq: 5, disposition: 'queued', position: 2 });
      expect(pendingStatus(3, [1, 2], both)).toEqual({ seq: 3, disposition: 'running', runId: 'r1', attempt: 1 });
    });
  });

  it('waits for its agent, also one whose run waited for its next attempt before', () => {
    const waiting = { disposition: 'waiting', reason: 'waiting-for-agent' };
    const lacking = answer({ state: 'waiting-for-agent', retry });
    expect(pendingStatus(2, [1], lacking)).toEqual({ seq: 2, position: 2, ...waiting });
    expect(pendingStatus(3, [1, 2], lacking)).toEqual({ seq: 3, position: 3, ...waiting });
  });

  it('that waits for its agent tells what its last attempt failed with', () => {
    const error = { name: 'agent_failed', message: 'the agent answered 500', status: 500 };
    const recorded = { runId: 'r2', seqs: [2], attempt: 3, crashes: 0, error };
    const told = pendingStatus(2, [1], answer({ state: 'waiting-for-agent', retry }), recorded);
    expect(told).toMatchObject({ reason: 'waiting-for-agent', runId: 'r2', attempt: 3, error });
  });

  it('waits for the numbers before its own, and says so', () => {
    const early = answer({ state: 'queued', early: { seqs: [4, 5], endsAt: 9_000 } });
    const waiting = { disposition: 'waiting', position: 2, notBefore: 9_000, reason: 'sequence-gap' };
    expect(pendingStatus(5, [4], early)).toEqual({ seq: 5, ...waiting });
    expect(pendingStatus(6, [4, 5], early)).toEqual({ seq: 6, disposition: 'queued', position: 3 });
  });

  it('tells what its last attempt failed with, also when no worker answers', () => {
    const error = { name: 'agent_failed', message: 'the agent answered 500', status: 500, excerpt: 'out of memory' };
    const recorded = { ...retry, crashes: 0, failures: 1, error };
    const waiting = { seq: 2, disposition: 'waiting', position: 2, runId: 'r2', attempt: 2, notBefore: 5_000, error };
    expect(pendingStatus(2, [1], answer({ state: 'retrying', retry }), recorded)).toEqual(waiting);
    expect(pendingStatus(2, [1], undefined, recorded)).toEqual(waiting);
    const again = answer({ running: { ...running, attempt: 2 } });
    expect(pendingStatus(2, [1], again, recorded)).toMatchObject({ disposition: 'running', attempt: 2, error });
  });

  it('is queued when no worker answers', () => {
    expect(pendingStatus(7, [3], undefined)).toEqual({ seq: 7, disposition: 'queued', position: 2 });
  });
});

describe('a message that is decided', () => {
  const record = (more: object): StoredRecord =>
    ({ recordSeq: 1, storedAtMs: 1, record: { sends: [], ...more } }) as unknown as StoredRecord;

  it('names the run of its turn', () => {
    const messages = [{ id: 'm4', seq: 4, decision: 'superseded' }];
    const turn = record({ kind: 'turn', runId: 'r', attempt: 2, status: 'succeeded', messages });
    const told = {
      seq: 4,
      disposition: 'decided',
      decision: 'superseded',
      runId: 'r',
      attempt: 2,
      status: 'succeeded',
    };
    expect(decidedStatus(readDecision(turn, { id: 'm4' }))).toEqual({ ...told, replies: [] });
  });

  it('has the replies of its turn, or names the message that has them', () => {
    const messages = ['m4', 'm5'].map((id, i) => ({ id, seq: i + 4, decision: 'handled' }));
    const sends = [{ kind: 'reply', text: 'done' }];
    const turn = record({ kind: 'turn', runId: 'r', attempt: 1, status: 'succeeded', messages, sends });
    const replies = [{ text: 'done' }];
    expect(decidedStatus(readDecision(turn, { id: 'm5' }))).toMatchObject({ replies });
    expect(decidedStatus(readDecision(turn, { id: 'm4' }))).toMatchObject({ answeredWith: 'm5', replies: [] });
    expect(decidedStatus(readDecision(turn, { id: 'm4' }), true)).toMatchObject({ answeredWith: 'm5', replies });
  });

  it.each(['dropped', 'expired', 'cancelled', 'rejected'])('by a note as %s has a reason and no run', (decision) => {
    const note = record({ kind: 'note', messages: [{ id: 'm4', seq: 4, decision, reason: 'why' }] });
    const told = { seq: 4, disposition: 'decided', decision, reason: 'why', replies: [] };
    expect(decidedStatus(readDecision(note, { id: 'm4' }))).toEqual(told);
  });
});
