import { describe, expect, it } from 'vitest';
import { JsonText, jsonText } from '#contracts';
import { currentTurn, runAsCurrentTurn } from './current-turn.js';
import { applyAnswer } from './handler-answer.js';
import type { TurnMessage } from './turn-message.js';
import { Turn, TurnOverError } from './turn.js';

function makeTurn(messages: readonly TurnMessage[] = [{ id: 'm', seq: 1, text: 'x' }], state?: unknown): Turn {
  const { signal } = new AbortController();
  const tokens = { agentToken: 'main', sessionToken: 'telegram=3A42' };
  return new Turn({
    runId: 'r',
    attempt: 1,
    ...tokens,
    messages,
    state: JsonText.of(state),
    deadline: 5_000,
    signal,
    trace: undefined,
  });
}

describe('Turn', () => {
  it('has the latest message, the earlier ones, and their number', () => {
    const turn = makeTurn([1, 2, 3].map((seq) => ({ id: `m${seq}`, seq })));
    expect(turn.message.seq).toBe(3);
    expect(turn.skipped.map(({ seq }) => seq)).toEqual([1, 2]);
    expect(turn.totalSinceLastHandler).toBe(3);
    expect(makeTurn().skipped).toEqual([]);
  });

  it('sums up the messages that a full queue summarized', () => {
    const messages = [1, 2, 3].map((seq) => ({ id: `m${seq}`, seq, text: `t${seq}` }));
    const { signal } = new AbortController();
    const start = {
      runId: 'r',
      attempt: 1,
      agentToken: 'main',
      sessionToken: 's',
      messages,
      state: undefined,
      deadline: 5,
      signal,
    };
    expect(new Turn({ ...start, trace: undefined, summarized: 2 }).summary).toEqual({ count: 2, lines: ['t1', 't2'] });
    expect(new Turn({ ...start, trace: undefined, summarized: 0 }).summary).toBeUndefined();
    expect(makeTurn(messages).summary).toBeUndefined();
  });

  it('has the plain names of agent and session', () => {
    expect(makeTurn()).toMatchObject({ agent: 'main', session: 'telegram:42', runId: 'r', attempt: 1 });
  });

  it('returns its replies in order', () => {
    const turn = makeTurn();
    turn.reply('one');
    turn.reply({ text: 'two', data: { a: 1 } });
    turn.reply({ data: null });
    expect(turn.finish()).toEqual({
      replies: [
        { kind: 'reply', text: 'one' },
        { kind: 'reply', text: 'two', data: jsonText({ a: 1 }) },
        { kind: 'reply', data: jsonText(null) },
      ],
    });
  });

  it.each([null, undefined, 5, { text: null }, { text: 5 }, { text: ['SECRET'] }])(
    'refuses a reply that no record could hold: %j',
    (content) => {
      const turn = makeTurn();
      expect(() => turn.reply(content as never)).toThrow('wanted a text or {text?, data?}');
      expect(turn.finish().replies).toEqual([]);
    },
  );

  it.each<[string, (turn: Turn) => unknown]>([
    ['reply', (turn) => turn.reply('x')],
    ['state.get', (turn) => turn.state.get()],
    ['state.set', (turn) => turn.state.set(1)],
    ['state.merge', (turn) => turn.state.merge(() => 1)],
  ])('L1 after its end %s throws, and changes nothing', (_title, call) => {
    const turn = makeTurn();
    const left = turn.finish();
    expect(() => call(turn)).toThrow(TurnOverError);
    expect(() => call(turn)).toThrow('turn r is over');
    expect(left).toEqual({ replies: [] });
    expect(turn.finish()).toEqual({ replies: [] });
  });
});

describe('currentTurn', () => {
  it('stays the same over awaits, differs between parallel turns, and is undefined outside', async () => {
    const gate = Promise.withResolvers<void>();
    const [one, two] = [makeTurn(), makeTurn()];
    const ask = async () => {
      const before = currentTurn();
      await gate.promise;
      const inner = await Promise.all([
        Promise.resolve().then(currentTurn),
        new Promise((resolve) => setImmediate(resolve)).then(currentTurn),
      ]);
      return [before, ...inner, currentTurn()];
    };
    const answers = Promise.all([runAsCurrentTurn(one, ask), runAsCurrentTurn(two, ask)]);
    expect(currentTurn()).toBeUndefined();
    gate.resolve();
    const [ofOne, ofTwo] = await answers;
    expect(ofOne.every((turn) => turn === one) && ofOne.length === 4).toBe(true);
    expect(ofTwo.every((turn) => turn === two) && ofTwo.length === 4).toBe(true);
    expect(currentTurn()).toBeUndefined();
  });
});

describe('applyAnswer', () => {
  const text = (value: string) => ({ kind: 'reply', text: value });

  it.each<[string, unknown, object]>([
    ['nothing', undefined, { replies: [] }],
    ['null', null, { replies: [] }],
    ['a text', 'hi', { replies: [text('hi')] }],
    ['an empty text', '', { replies: [text('')] }],
    ['an empty object', {}, { replies: [] }],
    [
      'replies',
      { replies: ['a', { text: 'b' }, { data: 0 }] },
      { replies: [text('a'), text('b'), { kind: 'reply', data: 0 }] },
    ],
    ['a state', { state: { n: 1 } }, { replies: [], state: { value: { n: 1 } } }],
    ['a state that is null', { state: null }, { replies: [], state: { value: null } }],
    ['a state that is forgotten', { state: undefined }, { replies: [], state: { value: undefined } }],
    ['both', { replies: ['a'], state: 1 }, { replies: [text('a')], state: { value: 1 } }],
  ])('takes %s', (_title, answer, left) => {
    const turn = makeTurn();
    applyAnswer(turn, answer);
    const finished = turn.finish();
    // Carried JSON is text in it.
    const state = finished.state !== undefined && 'value' in finished.state ? finished.state.value : undefined;
    const value = state instanceof JsonText ? state.value : state;
    const replies = JSON.parse(JSON.stringify(finished.replies)) as unknown;
    expect({ ...finished, replies, ...(finished.state === undefined ? {} : { state: { value } }) }).toEqual(left);
    expect('state' in finished).toBe('state' in left);
  });

  it("adds to the turn's own replies", () => {
    const turn = makeTurn();
    turn.reply('first');
    applyAnswer(turn, 'second');
    expect(turn.finish().replies).toEqual([text('first'), text('second')]);
  });

  it.each<[string, unknown]>([
    ['a number', 5],
    ['a boolean', false],
    ['an array', ['SECRET']],
    ['an unknown field', { reply: 'SECRET' }],
    ['replies that are none', { replies: 'SECRET' }],
    ['a reply that is a number', { replies: [5] }],
    ['an empty reply', { replies: ['SECRET', {}] }],
    ['an unknown field of a reply', { replies: [{ text: 'SECRET', to: 'x' }] }],
    ['a state that is no JSON', { state: () => 'SECRET' }],
  ])('refuses %s, quotes nothing, and leaves nothing', (_title, answer) => {
    const turn = makeTurn();
    expect(() => applyAnswer(turn, answer)).toThrow(
      expect.objectContaining({ code: 'bad_answer', message: expect.not.stringContaining('SECRET') }),
    );
    expect(turn.finish()).toEqual({ replies: [] });
  });
});
