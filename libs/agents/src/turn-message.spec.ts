import { describe, expect, it } from 'vitest';
import { JsonText, writeJson } from '#contracts';
import { applyAnswer } from './handler-answer.js';
import { toTurnMessage } from './turn-message.js';
import { Turn } from './turn.js';

const DATA = '{"id":12345678901234567890,"part":0.12345678901234567890,"10":1,"2":1.0}';
const stored = { v: 1 as const, kind: 'message' as const, id: 'a', text: 'x', data: new JsonText(DATA) };

function makeTurn(state?: string): Turn {
  return new Turn({
    ...{ runId: 'r', attempt: 1, agentToken: 'main', sessionToken: 's', deadline: 5, trace: undefined },
    ...{ messages: [toTurnMessage(7, stored, undefined)], signal: new AbortController().signal },
    state: state === undefined ? undefined : new JsonText(state),
  });
}

describe('the data of a message', () => {
  it('is parsed with all digits of its numbers', () => {
    const { data } = toTurnMessage(7, stored, undefined) as { data: Record<string, unknown> };
    expect(data['id']).toBe(12345678901234567890n);
    expect(data['part']).toEqual({ rawJSON: '0.12345678901234567890' });
    expect(data['2']).toBe(1);
  });

  it('is parsed anew for each attempt (L7), and stays the same within one', () => {
    const [one, other] = [toTurnMessage(7, stored, undefined), toTurnMessage(7, stored, undefined)];
    (one.data as { own?: boolean }).own = true;
    expect(one.data).toHaveProperty('own');
    expect(other.data).not.toHaveProperty('own');
  });

  it('is an own property like the others: in copies, keys and comparisons', () => {
    const message = toTurnMessage(7, { ...stored, data: new JsonText('[1]') }, undefined);
    expect(message).toEqual({ id: 'a', seq: 7, text: 'x', data: [1] });
    expect({ ...message }).toEqual({ id: 'a', seq: 7, text: 'x', data: [1] });
    expect(Object.keys(message).toSorted()).toEqual(['data', 'id', 'seq', 'text']);
  });

  it('is written unchanged for an agent over HTTP, and digit for digit when a handler writes the message', () => {
    const message = toTurnMessage(7, stored, undefined);
    expect(writeJson({ message })).toBe(`{"message":{"id":"a","seq":7,"text":"x","data":${DATA}}}`);
    expect(JSON.stringify(message)).toContain('"id":12345678901234567890,"part":0.12345678901234567890');
  });
});

describe('replies and state of a handler', () => {
  it('keep all digits, in every form of a reply', () => {
    const turn = makeTurn();
    turn.reply({ data: turn.message.data });
    turn.reply({ data: turn.message.rawData });
    applyAnswer(turn, {
      replies: [{ data: { ids: [98765432109876543210n, turn.message.rawData] } }],
      state: turn.message.data,
    });
    const { replies, state } = turn.finish();
    const normal = '{"2":1,"10":1,"id":12345678901234567890,"part":0.12345678901234567890}';
    expect(replies.map(({ data }) => data?.text)).toEqual([normal, DATA, `{"ids":[98765432109876543210,${DATA}]}`]);
    expect(state).toEqual({ value: new JsonText(normal) });
  });

  it('leave the state unchanged until it is set', () => {
    const turn = makeTurn(DATA);
    expect(turn.state.getRaw()?.text).toBe(DATA);
    expect(turn.state.get()).toMatchObject({ id: 12345678901234567890n });
    turn.state.set({ n: 2n ** 64n });
    expect(turn.state.getRaw()?.text).toBe('{"n":18446744073709551616}');
    expect(makeTurn().state.getRaw()).toBeUndefined();
  });

  const round: { own?: unknown } = {};
  round.own = round;
  it.each<[string, unknown, RegExp]>([
    ['half a surrogate pair as a text', 'half \ud800', /surrogate/],
    ['half a surrogate pair in its data', { data: { a: ['\udc00'] } }, /surrogate.*data\.a\.0/],
    ['a key that makes objects', { data: JSON.parse('{"a":{"__proto__":1}}') as unknown }, /data\.a\.__proto__/],
    ['too many levels', { data: JSON.parse('['.repeat(65) + ']'.repeat(65)) as unknown }, /too deeply/],
    ['a function', { data: () => 1 }, /JSON/],
  ])('is refused at once with its place: %s', (_title, content, why) => {
    const turn = makeTurn();
    expect(() => turn.reply(content as string)).toThrow(
      expect.objectContaining({ code: 'bad_reply', message: expect.stringMatching(why) }),
    );
    expect(turn.finish().replies).toEqual([]);
  });
});
