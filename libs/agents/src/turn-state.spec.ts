import { describe, expect, it } from 'vitest';
import { JsonText, TerminalError } from '#contracts';
import { applyAnswer } from './handler-answer.js';
import { StateMergeError, StateReadOnlyError, type StateEdit } from './turn-state.js';
import { Turn } from './turn.js';

interface Counter {
  readonly n: number;
  readonly seen?: readonly string[];
}

function makeTurn(state?: unknown, isParallel = false): Turn {
  const { signal } = new AbortController();
  const tokens = { agentToken: 'main', sessionToken: 's' };
  const messages = [{ id: 'm', seq: 1 }];
  const start = {
    runId: 'r',
    attempt: 1,
    ...tokens,
    messages,
    state: JsonText.of(state),
    isParallel,
    deadline: 5_000,
    signal,
  };
  return new Turn({ ...start, trace: undefined });
}

const plus = (more: number) => (current: unknown) => ({ ...(current as Counter), n: (current as Counter).n + more });

/** The state after the commit, when `current` was there before it. */
function committed(turn: Turn, current: unknown): unknown {
  const change: StateEdit | undefined = turn.finish().state;
  if (change === undefined) return current;
  return 'merge' in change ? change.merge(structuredClone(current)) : change.value;
}

describe('turn.state', () => {
  it('changes only when it was set', () => {
    expect(makeTurn({ n: 1 }).finish()).toEqual({ replies: [] });
    const turn = makeTurn({ n: 1 });
    turn.state.set({ n: 2 });
    expect(turn.state.get()).toEqual({ n: 2 });
    turn.state.set(undefined);
    expect(turn.state.get()).toBeUndefined();
    expect(turn.finish()).toEqual({ replies: [], state: { value: undefined } });
  });

  it("is a copy: the lane's state changes only by a commit", () => {
    const kept = { list: [1] };
    const turn = makeTurn(kept);
    const own = turn.state.get() as typeof kept;
    own.list.push(2);
    expect(kept).toEqual({ list: [1] });
    expect(turn.state.get()).toBe(own);
    turn.state.set(own);
    expect(turn.state.get()).toBe(own);
    turn.state.merge((current) => (current as typeof kept).list.push(3));
    expect(kept).toEqual({ list: [1] });
  });
});

describe.each([false, true])('turn.state.merge (parallel: %s)', (isParallel) => {
  it('is computed from the state at the commit, and shows its result on the own copy', () => {
    const turn = makeTurn({ n: 1 }, isParallel);
    turn.state.merge(plus(10));
    expect(turn.state.get()).toEqual({ n: 11 });
    turn.state.merge(plus(100));
    expect(turn.state.get()).toEqual({ n: 111 });
    expect(committed(turn, { n: 5, seen: ['by a turn beside it'] })).toEqual({ n: 115, seen: ['by a turn beside it'] });
  });

  it('may create a state, and delete it', () => {
    const turn = makeTurn(undefined, isParallel);
    turn.state.merge((current) => ({ n: 1, ...(current as object | undefined) }));
    expect(turn.state.get()).toEqual({ n: 1 });
    expect(committed(turn, undefined)).toEqual({ n: 1 });
    const forgetful = makeTurn({ n: 1 }, isParallel);
    forgetful.state.merge(() => undefined);
    expect(forgetful.state.get()).toBeUndefined();
    expect(committed(forgetful, { n: 2 })).toBeUndefined();
  });

  it('that throws at once throws its own error to its caller, and has no effect', () => {
    const turn = makeTurn({ n: 1 }, isParallel);
    const error = new TerminalError('no');
    const call = () =>
      turn.state.merge(() => {
        throw error;
      });
    expect(call).toThrow(error);
    expect(turn.finish()).toEqual({ replies: [] });
  });

  it.each<[string, () => unknown]>([
    ['a function', () => () => {}],
    ['a symbol', () => Symbol('x')],
    ['a promise', () => Promise.resolve({ n: 1 })],
    ['a promise that fails', () => Promise.reject(new Error('not handled by any code'))],
  ])('L6 refuses %s at once, and again at the commit', (_title, merged) => {
    const turn = makeTurn({ n: 1 }, isParallel);
    expect(() => turn.state.merge(merged)).toThrow(StateMergeError);
    expect(turn.finish()).toEqual({ replies: [] });
    const later = makeTurn({ n: 1 }, isParallel);
    later.state.merge((current) => ((current as Counter).n === 1 ? current : merged()));
    expect(() => committed(later, { n: 2 })).toThrow(expect.objectContaining({ code: 'state_merge_failed' }));
  });

  it.each<[string, unknown]>([
    ['an error', new RangeError('too many')],
    ['a bare object', Object.create(null)],
    ['what throws when asked for its text', { toString: () => expect.unreachable() }],
  ])('L6 that throws %s at the commit throws one error that has a text', (_title, thrown) => {
    const turn = makeTurn({ n: 1 }, isParallel);
    turn.state.merge((current) => {
      if ((current as Counter).n !== 1) throw thrown;
      return current;
    });
    expect(() => committed(turn, { n: 2 })).toThrow(
      'turn.state.merge(): the function threw for the state at the commit',
    );
  });

  it('cannot be called after the end of its turn', () => {
    const turn = makeTurn({ n: 1 }, isParallel);
    turn.state.merge((current) => {
      if ((current as Counter).n !== 1) turn.reply('from the commit');
      return current;
    });
    expect(() => committed(turn, { n: 2 })).toThrow('turn r is over');
  });
});

describe('set and merge in a serial turn', () => {
  it('a merge after a set starts from the set value, whatever the state at the commit is', () => {
    const turn = makeTurn({ n: 1 });
    turn.state.merge(plus(1));
    turn.state.set({ n: 10 });
    turn.state.merge(plus(1));
    expect(turn.state.get()).toEqual({ n: 11 });
    expect(committed(turn, { n: 99 })).toEqual({ n: 11 });
  });

  it('a set after a merge replaces it', () => {
    const turn = makeTurn({ n: 1 });
    turn.state.merge(plus(1));
    turn.state.set('other');
    expect(turn.finish()).toEqual({ replies: [], state: { value: 'other' } });
  });
});

describe('a parallel turn', () => {
  it('is marked as parallel, and refuses to set the state, with the remedy and without a retry', () => {
    const turn = makeTurn({ n: 1 }, true);
    expect([turn.isParallel, makeTurn().isParallel]).toEqual([true, false]);
    expect(() => turn.state.set({ n: 2 })).toThrow(StateReadOnlyError);
    expect(() => turn.state.set({ n: 2 })).toThrow(TerminalError);
    expect(() => turn.state.set({ n: 2 })).toThrow(
      expect.objectContaining({
        code: 'state_read_only',
        message: expect.stringMatching(/turn\.state\.merge\(fn\).*strategy other than concurrent/),
      }),
    );
    expect(turn.state.get()).toEqual({ n: 1 });
    expect(turn.finish()).toEqual({ replies: [] });
  });

  it.each([{ state: { n: 2 } }, { state: null }, { state: undefined, replies: ['x'] }])(
    'refuses an answer that has a state, with the remedy: %j',
    (answer) => {
      expect(() => applyAnswer(makeTurn({ n: 1 }, true), answer)).toThrow(
        expect.objectContaining({
          code: 'state_read_only',
          message: expect.stringMatching(/leave `state` out of the answer.*strategy other than concurrent/),
        }),
      );
    },
  );

  it('accepts an answer without a state', () => {
    const turn = makeTurn({ n: 1 }, true);
    applyAnswer(turn, { replies: ['x'] });
    expect(turn.finish()).toEqual({ replies: [{ kind: 'reply', text: 'x' }] });
  });
});
