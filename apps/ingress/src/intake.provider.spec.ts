import { describe, expect, it } from 'vitest';
import { Names, type SessionAnswer } from '#contracts';
import { IntakeService, type IntakeParts } from './intake.provider.js';
import { ProblemException } from './problem.exception.js';
import type { SessionChoice } from './session-choice.provider.js';
import type { StoredRecord } from './session-history.client.js';

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
  };
  const questions = { ask: () => ((isAsked = true), Promise.resolve(answer)) };
  const parts = { names: new Names('lk', 64), agents: ['main'], history, questions };
  return new IntakeService(parts as unknown as IntakeParts, {} as SessionChoice).messageStatus(path, messageId);
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
    const decided = { kind: 'turn', runId: 'r', sends: [], messages: [{ id: 'a', seq: 1, decision: 'handled' }] };
    const told = { messageId: 'a', seq: 1, disposition: 'decided', decision: 'handled', runId: 'r' };
    expect(await statusIn({ undecided, answer: running(3, 4), decided }, 'a')).toEqual(told);
  });

  it('tells what a note decided, and why', async () => {
    const decided = { kind: 'note', messages: [{ id: 'x', seq: 9, decision: 'expired', reason: 'ttl' }] };
    const told = { messageId: 'x', seq: 9, disposition: 'decided', decision: 'expired', reason: 'ttl' };
    expect(await statusIn({ undecided, decided }, 'x')).toEqual(told);
  });

  it('is nothing for an id that nobody sent', async () => {
    await expect(statusIn({ undecided }, 'nobody')).rejects.toThrow(ProblemException);
  });
});
