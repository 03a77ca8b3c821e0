import { describe, expect, it } from 'vitest';
import { jsonText } from '#contracts';
import { EchoAgent } from './echo.provider.js';
import type { TurnMessage } from './turn-message.js';
import { Turn } from './turn.js';

function makeTurn(messages: Partial<TurnMessage>[], signal: AbortSignal = new AbortController().signal): Turn {
  return new Turn({
    runId: 'r',
    attempt: 1,
    agentToken: 'echo',
    sessionToken: 's',
    messages: messages.map((message, i) => ({ id: `m${i}`, seq: i + 1, ...message })),
    state: undefined,
    deadline: 0,
    signal,
    trace: undefined,
  });
}

describe('EchoAgent', () => {
  it('answers each message with its text, or its data', async () => {
    const turn = makeTurn([{ text: 'a' }, { data: [1] }, { text: '', data: 2 }]);
    await new EchoAgent().answer(turn);
    expect(turn.finish().replies).toEqual([
      { kind: 'reply', text: 'a' },
      { kind: 'reply', data: jsonText([1]) },
      { kind: 'reply', text: '' },
    ]);
  });

  it('fails when it is told to', async () => {
    const turn = makeTurn([{ text: 'a' }, { text: 'b', data: { fail: 'as told' } }, { text: 'c' }]);
    await expect(new EchoAgent().answer(turn)).rejects.toThrow('as told');
  });

  it('its wait ends when the turn is aborted', async () => {
    const turn = makeTurn([{ text: 'a', data: { sleepMs: 3_600_000 } }], AbortSignal.abort());
    await expect(new EchoAgent().answer(turn)).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    const later = new AbortController();
    const waiting = new EchoAgent().answer(makeTurn([{ text: 'a', data: { sleepMs: 3_600_000 } }], later.signal));
    later.abort();
    await expect(waiting).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  });

  it('continues after its wait', async () => {
    const turn = makeTurn([{ text: 'a', data: { sleepMs: 1 } }]);
    await new EchoAgent().answer(turn);
    expect(turn.finish().replies).toEqual([{ kind: 'reply', text: 'a' }]);
  });

  it.each([{ sleepMs: -1 }, { sleepMs: 'long' }, { sleepMs: 1e9 }, { fail: 1 }, [1], 'x', null])(
    'takes data that is no option as data: %j',
    async (data) => {
      const turn = makeTurn([{ data }]);
      await new EchoAgent().answer(turn);
      expect(turn.finish().replies).toEqual([{ kind: 'reply', data: jsonText(data) }]);
    },
  );
});
