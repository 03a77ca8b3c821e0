import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AnswerStream } from './answer-stream.js';

const BOM = '\uFEFF';
const event = (name: string, data: unknown): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const done = event('done', {});

function read(...chunks: string[]): object {
  const stream = new AnswerStream();
  for (const chunk of chunks) stream.feed(chunk);
  return asValues(stream.finish());
}

/** The bytes in pieces, decoded one after another as they would come from a socket. */
function readSplit(text: string, cuts: readonly number[]): object {
  const bytes = Buffer.from(text);
  const bounds = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const stream = new AnswerStream();
  for (const [i, from] of bounds.slice(0, -1).entries()) {
    stream.feed(decoder.decode(bytes.subarray(from, bounds[i + 1]), { stream: true }));
  }
  return asValues(stream.finish());
}

/** Carried JSON is text in an answer. */
function asValues(answer: object): object {
  return JSON.parse(JSON.stringify(answer)) as object;
}

describe('AnswerStream', () => {
  it.each<[string, string, object]>([
    ['done alone: nothing to say', done, { replies: [] }],
    ['done without data', 'event: done\ndata:\n\n', { replies: [] }],
    [
      'replies in their order',
      event('reply', { text: 'a' }) + event('reply', { data: [1] }) + done,
      { replies: [{ text: 'a' }, { data: [1] }] },
    ],
    [
      'deltas only: together they are the reply',
      event('delta', { text: 'a' }) + event('delta', { text: 'b ' }) + event('delta', { text: 'c' }) + done,
      { replies: ['ab c'] },
    ],
    [
      'deltas beside a reply: a preview of it',
      event('delta', { text: 'a' }) + event('reply', { text: 'ab' }) + done,
      { replies: [{ text: 'ab' }] },
    ],
    [
      'deltas beside a reply in done',
      event('delta', { text: 'a' }) + event('done', { replies: ['x'] }),
      { replies: ['x'] },
    ],
    [
      'replies in done, behind the others',
      event('reply', { text: 'a' }) + event('done', { replies: ['b', { data: 0 }] }),
      { replies: [{ text: 'a' }, 'b', { data: 0 }] },
    ],
    ['a state', event('done', { state: { n: 1 } }), { state: { n: 1 }, replies: [] }],
    ['a state that is null', event('done', { state: null }), { state: null, replies: [] }],
    ['empty deltas: no reply', event('delta', { text: '' }) + done, { replies: [] }],
    ['more fields than it knows in an event', event('delta', { text: 'a', index: 0 }) + done, { replies: ['a'] }],
    [
      'unknown events, broken or not',
      `event: ping\ndata: {{{\n\n${event('progress', 5)}data: unnamed\n\n${done}`,
      { replies: [] },
    ],
    [
      'comments, ids and retry',
      `: hello\nid: 5\nretry: 1000\n\n${event('reply', { text: 'a' })}${done}`,
      { replies: [{ text: 'a' }] },
    ],
    ['data over several lines', 'event: reply\ndata: {"text":\ndata: "a"}\n\n' + done, { replies: [{ text: 'a' }] }],
    [
      'no space behind the colon',
      'event:reply\ndata:{"text":"a"}\n\nevent:done\ndata:{}\n\n',
      { replies: [{ text: 'a' }] },
    ],
    [
      'data after done is ignored',
      `${done}${event('reply', { text: 'late' })}event: reply\ndata: {{{\n\n`,
      { replies: [] },
    ],
  ])('reads %s', (_title, text, expected) => {
    expect(read(text)).toEqual(expected);
    expect(read(text.replaceAll('\n', '\r\n'))).toEqual(expected);
    // The decoder removes the byte order mark earlier.
    expect(readSplit(BOM + text, [])).toEqual(expected);
  });

  it('tells when done has arrived, and not before', () => {
    const stream = new AnswerStream();
    expect(stream.feed(event('reply', { text: 'a' }))).toBe(false);
    expect(stream.feed(done.slice(0, -1))).toBe(false);
    expect(stream.feed('\n')).toBe(true);
  });

  it.each<[string, string]>([
    ['nothing at all', ''],
    ['replies alone', event('reply', { text: 'a' })],
    ['a done that breaks off', done.slice(0, -1)],
    ['a done without its event line', 'data: {}\n\n'],
  ])('refuses a stream that ends without done: %s', (_title, text) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({
        code: 'agent_answer_cut',
        message: expect.stringMatching(/broke off.* ended without the event `done`$/),
        finding: { isUnclear: true },
      }),
    );
  });

  it.each<[string, string, string]>([
    ['a delta that is broken JSON', 'event: delta\ndata: {"text":"SECRET\n\n', 'delta'],
    ['a delta that is a text', event('delta', 'SECRET'), 'delta'],
    ['a delta without text', event('delta', { txt: 'SECRET' }), 'delta'],
    ['a delta whose text is a number', event('delta', { text: 5 }), 'delta'],
    ['a reply that is a list', event('reply', ['SECRET']), 'reply'],
    ['a reply whose text is null', event('reply', { text: null }), 'reply'],
    ['a reply without data', 'event: reply\ndata:\n\n', 'reply'],
    ['a done that is broken JSON', 'event: done\ndata: SECRET\n\n', 'done'],
    ['a done that is a list', event('done', []), 'done'],
    ['a done that is null', event('done', null), 'done'],
    ['a done that is a number', event('done', 5), 'done'],
  ])('names the event that it cannot read, and quotes nothing: %s', (_title, text, name) => {
    const wrong = expect.objectContaining({
      code: 'bad_answer',
      message: expect.stringMatching(`^(?!.*SECRET).*found an event \`${name}\` .*; wanted `),
    });
    expect(() => read(text + done)).toThrow(wrong);
    expect(() => read(event('reply', { text: 'fine' }) + text + done)).toThrow(wrong);
  });

  it('joins a character that two deltas share, and refuses half of one without a retry', () => {
    const [high, low] = ['\ud83d', '\ude00'].map((text) => event('delta', { text }));
    expect(read(`${high}${low}${done}`)).toEqual({ replies: ['\u{1F600}'] });
    expect(() => read(`${high}${done}`)).toThrow(expect.objectContaining({ code: 'bad_answer' }));
  });

  it('refuses a delta with a repeated key, and names the key', () => {
    expect(() => read(`event: delta\ndata: {"text":"a","te\\u0078t":"b"}\n\n${done}`)).toThrow(
      expect.objectContaining({ code: 'bad_answer', message: expect.stringContaining('text: this key twice') }),
    );
  });

  it('refuses replies in done that are not a list', () => {
    for (const replies of ['x', {}, 5, null]) {
      expect(() => read(event('done', { replies }))).toThrow(expect.objectContaining({ code: 'bad_answer' }));
    }
  });

  it('gives the same answer wherever its bytes are cut', () => {
    const texts = fc.string({ unit: 'grapheme', maxLength: 12 });
    // Values made at random have a liking for these keys, which are refused.
    const json = fc.jsonValue().filter((value) => !/"(__proto__|prototype)"/.test(JSON.stringify(value)));
    const parts = fc.oneof(
      texts.map((text) => event('delta', { text })),
      fc.record({ text: texts, data: json }).map((reply) => event('reply', reply)),
      texts.map((text) => `: ${text.replaceAll(/[\r\n]/g, '')}\n\n`),
      texts.map((text) => event('other', text)),
    );
    const ends = fc.record({ state: json }).map((end) => event('done', end));
    const lineEnds = fc.constantFrom('\n', '\r\n');
    const cuts = fc.array(fc.nat(), { maxLength: 40 });
    fc.assert(
      fc.property(
        fc.array(parts, { maxLength: 6 }),
        ends,
        lineEnds,
        fc.boolean(),
        cuts,
        (given, end, lineEnd, bom, at) => {
          const text = (bom ? BOM : '') + [...given, end].join('').replaceAll('\n', lineEnd);
          expect(readSplit(text, at)).toEqual(readSplit(text, []));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('gives the same answer when it comes byte by byte', () => {
    const text = `${BOM}${event('delta', { text: 'grüße 🙂' })}${event('delta', { text: '!' })}${done}`.replaceAll(
      '\n',
      '\r\n',
    );
    const everywhere = Array.from({ length: Buffer.byteLength(text) }, (_, i) => i);
    expect(readSplit(text, everywhere)).toEqual({ replies: ['grüße 🙂!'] });
  });
});
