import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InterimResponses } from './interim-responses.js';

const FINAL = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi';
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const HINTS = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nx: HTTP/1.1 200 OK\r\n\r\n';

function passed(text: string, cuts: readonly number[] = []): string {
  const bytes = Buffer.from(text, 'latin1');
  const bounds = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  const interim = new InterimResponses();
  interim.expect();
  const pieces = bounds.slice(0, -1).map((from, i) => interim.pass(bytes.subarray(from, bounds[i + 1])));
  return Buffer.concat(pieces.map((piece) => piece ?? Buffer.alloc(0))).toString('latin1');
}

describe('InterimResponses', () => {
  it.each<[string, string]>([
    ['none', ''],
    ['a 100', CONTINUE],
    ['a 103 with headers', HINTS],
    ['many', CONTINUE + HINTS + CONTINUE + HINTS],
    ['one without a reason', 'HTTP/1.1 100\r\n\r\n'],
    ['one of HTTP/1.0', 'HTTP/1.0 100 Continue\r\n\r\n'],
    ['one with bare line feeds', 'HTTP/1.1 100 Continue\n\n'],
  ])('takes out %s, and leaves the answer', (_title, before) => {
    expect(passed(before + FINAL)).toBe(FINAL);
  });

  it.each([FINAL, 'HTTP/1.1 101 Switching Protocols\r\n\r\n', 'HTTP/2 100', 'HTT', '-ERR\r\n'])(
    'leaves what is none: %j',
    (text) => expect(passed(`${text}${FINAL}`)).toBe(`${text}${FINAL}`),
  );

  it('does the same however the bytes are cut', () => {
    const interim = fc.array(fc.constantFrom(CONTINUE, HINTS), { maxLength: 3 });
    const answers = fc.oneof(
      fc.constant(FINAL),
      fc.string({ minLength: 3, unit: 'binary-ascii' }).map((s) => `HTTP/1.1 2${s}`),
    );
    fc.assert(
      fc.property(interim, answers, fc.array(fc.nat(), { maxLength: 8 }), (before, answer, cuts) => {
        expect(passed(before.join('') + answer, cuts)).toBe(answer);
      }),
      { numRuns: 2_000 },
    );
  });

  it('changes nothing after the head of the answer, until the next request is sent', () => {
    const interim = new InterimResponses();
    const pass = (text: string) => interim.pass(Buffer.from(text))?.toString();
    expect(pass(CONTINUE)).toBe(CONTINUE);
    interim.expect();
    expect(pass(CONTINUE + FINAL)).toBe(FINAL);
    expect(pass(CONTINUE)).toBe(CONTINUE);
    interim.expect();
    expect(pass(CONTINUE)).toBeUndefined();
    expect(pass(FINAL)).toBe(FINAL);
  });
});
