import { describe, expect, it } from 'vitest';
import { parseTurnStarted, type TurnStartedEvent } from './turn-events.js';

const event: TurnStartedEvent = {
  type: 'turn-started',
  runId: 'r',
  attempt: 1,
  seqs: [3, 5],
  headSeq: 0,
  at: 12,
  worker: 'w/1',
};

describe('parseTurnStarted', () => {
  it('reads what was written', () => expect(parseTurnStarted(JSON.stringify(event))).toEqual(event));

  it('ignores fields of later versions', () => {
    expect(parseTurnStarted(JSON.stringify({ ...event, more: 1 }))).toEqual(event);
  });

  it.each<[string, string]>([
    ['no JSON', '{'],
    ['nothing', ''],
    ['null', 'null'],
    ['an array', '[]'],
    ...Object.entries({
      type: 'turn-ended',
      runId: 5,
      attempt: 0,
      seqs: [],
      headSeq: -1,
      at: 'noon',
      worker: null,
    }).map(([field, wrong]): [string, string] => [`a wrong ${field}`, JSON.stringify({ ...event, [field]: wrong })]),
    ['a negative sequence', JSON.stringify({ ...event, seqs: [-1] })],
    ['half a sequence', JSON.stringify({ ...event, seqs: [1.5] })],
    ['no headSeq', JSON.stringify({ ...event, headSeq: undefined })],
    ['no seqs', JSON.stringify({ ...event, seqs: undefined })],
  ])('a broken hint is ignored: %s', (_title, text) => expect(parseTurnStarted(text)).toBeUndefined());
});
