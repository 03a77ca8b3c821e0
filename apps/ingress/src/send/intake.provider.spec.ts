import { describe, expect, it } from 'vitest';
import { Names, type SessionAnswer } from '#contracts';
import { ProblemException } from '#http';
import { IntakeService, type IntakeParts } from './intake.provider.js';
import type { SessionChooser } from '../sessions/session-chooser.provider.js';
import type { StoredRecord } from '../sessions/session-history.client.js';

const path = { agent: 'main', session: 's' };
const running = (...seqs: number[]): SessionAnswer => ({
  ...{ state: 'running', depth: 0, oldestMs: null, worker: 'w/1' },
  running: { runId: 'r', attempt: 1, seqs, startedAt: 1 },
});

interface World {
  readonly undecided: readonly { readonly seq: number; readonly id: string; readonly isControl?: boolean }[];
  readonly answer?: SessionAnswer;
  /** The record that stands by the time at which the worker has answered. */
  readonly decided?: object;
}

function statusIn({ undecided, answer, decided }: World, messageId: string): Promise<object> {
  let isAsked = undecided.every(({ id }) => id !== messageId);
  const history = {
    async *undecided() {
      for (const entry of undecided) yield { storedAtMs: 0, isControl: false, ...entry };
    },
    decisionOf: () =>
      Promise.resolve(isAsked && decided !== undefined ? ({ record: decided } as StoredRecord) : undefined),
    runInWork: () => Promise.resolve(undefined),
  };
  const questions = { ask: () => ((isAsked = true), Promise.resolve(answer)) };
  const parts = { names: new Names('lk', 64), agents: ['main'], history, questions };
  return new IntakeService(parts as unknown as IntakeParts, {} as SessionChooser).messageStatus(path, messageId);
}

describe('what became of a message', () => {
  const undecided = [
    { seq: 1, id: 'a' },
    { seq: 2, id: 'c', isControl: true },
    ...['b', 'd'].map((id, i) => ({ seq: i + 3, id })),
  ];

  it('counts the messages that wait before it: neither what runs nor orders to the lane', async () => {
    const waiting = { messageId: 'd', seq: 4, disposition: 'queued' };
    expect(await statusIn({ undecided, answer: running(1) }, 'd')).toEqual({ ...waiting, position: 2 });
    expect(await statusIn({ undecided }, 'd')).toEqual({ ...waiting, position: 3 });
    expect(await statusIn({ undecided }, 'c')).toEqual({ messageId: 'c', seq: 2, disposition: 'queued' });
  });

  it('says of one whose turn ended during the question that it is decided, not that it waits again', async () => {
    const end = { runId: 'r', attempt: 1, status: 'succeeded' };
    const decided = { kind: 'turn', ...end, sends: [], messages: [{ id: 'a', seq: 1, decision: 'handled' }] };
    const told = { messageId: 'a', seq: 1, disposition: 'decided', decision: 'handled', ...end, replies: [] };
    expect(await statusIn({ undecided, answer: running(3, 4), decided }, 'a')).toEqual(told);
  });

  it('tells what a note decided, and why', async () => {
    const decided = { kind: 'note', messages: [{ id: 'x', seq: 9, decision: 'expired', reason: 'ttl' }] };
    const told = { messageId: 'x', seq: 9, disposition: 'decided', decision: 'expired', reason: 'ttl', replies: [] };
    expect(await statusIn({ undecided, decided }, 'x')).toEqual(told);
  });

  it('is nothing for an id that no sender sent', async () => {
    await expect(statusIn({ undecided }, 'nobody')).rejects.toThrow(ProblemException);
  });
});

describe('what a session is doing', () => {
  function sessionIn(seqs: readonly number[], answer?: SessionAnswer, tasks: IntakeParts['tasks']['of'] = none) {
    const history = {
      async *pending() {
        for (const seq of seqs) yield { seq, id: `m${seq}`, storedAtMs: Date.now() };
      },
      lastTurn: () => Promise.resolve(undefined),
    };
    const questions = { ask: () => Promise.resolve(answer) };
    const parts = { names: new Names('lk', 64), agents: ['main'], history, questions, tasks: { of: tasks } };
    return new IntakeService(parts as unknown as IntakeParts, {} as SessionChooser).session(path);
  }
  const none: IntakeParts['tasks']['of'] = () => Promise.resolve([]);
  const beside = { runId: 'c1', attempt: 1, seqs: [2], startedAt: 1 };
  const again = { runId: 'c2', attempt: 2, seqs: [3], notBefore: 9_000 };
  const answering = (more: object) => ({ ...running(1), running: undefined, ...more }) as unknown as SessionAnswer;

  it('shows the turns that run beside each other, and does not count their messages as waiting', async () => {
    const concurrent = [beside, again];
    const told = await sessionIn([2, 3, 4], answering({ concurrent }));
    expect(told).toMatchObject({ state: 'running', depth: 2, concurrent });
    expect(told).not.toHaveProperty('running');
    const both = { ...running(1), concurrent };
    expect(await sessionIn([1, 2, 3, 4], both)).toMatchObject({ state: 'running', depth: 2, concurrent });
  });

  it('runs when any of its turns runs, and only then', async () => {
    const one = answering({ state: 'retrying', concurrent: [beside] });
    expect(await sessionIn([2, 3], one)).toMatchObject({ state: 'running', depth: 1 });
    expect(await sessionIn([2], { ...one, state: 'queued' })).toMatchObject({ state: 'running', depth: 0 });
    expect(await sessionIn([2], { ...one, state: 'held' })).toMatchObject({ state: 'held' });
    const none = answering({ state: 'retrying', concurrent: [again] });
    expect(await sessionIn([3], none)).toMatchObject({ state: 'retrying', depth: 1 });
  });

  it('waits for its agent where the owner of its shard lacks that, and something waits', async () => {
    const lacking = answering({ state: 'waiting-for-agent' });
    expect(await sessionIn([2, 3], lacking)).toMatchObject({ state: 'waiting-for-agent', depth: 2 });
    expect(await sessionIn([], lacking)).toMatchObject({ state: 'idle', depth: 0 });
  });

  it('shows nothing of concurrent turns where there are none', async () => {
    expect(await sessionIn([1, 2], running(1))).not.toHaveProperty('concurrent');
    expect(await sessionIn([], undefined)).toMatchObject({ state: 'idle', depth: 0, oldestMs: null });
    expect(await sessionIn([5], undefined)).toMatchObject({ state: 'queued', depth: 1 });
  });

  it('shows the tasks of its own scope, and those that its worker says its runs hold', async () => {
    const task = { key: 'main/s::deploy', state: 'running' as const, runId: 'r', startedAt: 1 };
    const asked: unknown[] = [];
    const tasks: IntakeParts['tasks']['of'] = (...call) => (asked.push(call), Promise.resolve([task]));
    expect(await sessionIn([1], { ...running(1), tasks: ['shop::x'] }, tasks)).toMatchObject({ tasks: [task] });
    expect(await sessionIn([], undefined, tasks)).toMatchObject({ state: 'idle', tasks: [task] });
    expect(asked).toEqual([
      ['main/s', ['shop::x']],
      ['main/s', undefined],
    ]);
  });
});
