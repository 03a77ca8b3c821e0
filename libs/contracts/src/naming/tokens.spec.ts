import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeToken, encodeToken } from './tokens.js';

/** Any text with a UTF-8 form: no lone surrogates. Some of them look like tokens. */
const text = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1 }),
  fc.string({
    unit: fc.constantFrom('=', '2', 'E', 'e', '.', 'a', ' ', '%', 'é', '\u{1F600}', '\uFEFF', '\0'),
    minLength: 1,
  }),
);

/** Texts over the alphabet of tokens, so that the invalid ones are nearly valid. */
const tokenLike = fc.string({ unit: fc.constantFrom('=', '2', 'E', 'C', '3', 'A', '9', 'e', 'F', '0', '8', '.', '-') });

describe('tokens', () => {
  it('any text is decoded again, from characters that subjects and KV keys accept', () => {
    fc.assert(
      fc.property(text, (value) => {
        const token = encodeToken(value);
        expect(token).toMatch(/^[A-Za-z0-9_=-]+$/);
        expect(decodeToken(token)).toBe(value);
      }),
      { numRuns: 2_000 },
    );
  });

  it('two texts never have the same token', () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(encodeToken(a) === encodeToken(b)).toBe(a === b);
      }),
      { numRuns: 2_000 },
    );
  });

  it('a token is accepted if and only if it is the encoding of what it decodes to', () => {
    let accepted = 0;
    fc.assert(
      fc.property(tokenLike, (token) => {
        const decoded = decodeToken(token);
        if (decoded === undefined) {
          // Whatever a lenient reader would make of it, its canonical encoding is a different token.
          const lenient = Buffer.from(
            token.replaceAll(/=([0-9A-Fa-f]{2})/g, (_all, hex: string) =>
              String.fromCharCode(Number.parseInt(hex, 16)),
            ),
            'latin1',
          ).toString();
          expect(encodeToken(lenient)).not.toBe(token === '' ? undefined : token);
        } else {
          accepted++;
          expect(encodeToken(decoded)).toBe(token);
        }
      }),
      { numRuns: 5_000 },
    );
    expect(accepted).toBeGreaterThan(50);
  });

  it.each([
    ['main', 'main'],
    ['telegram:-100:42', 'telegram=3A-100=3A42'],
    ['a.b c', 'a=2Eb=20c'],
    ['=', '=3D'],
    ['é', '=C3=A9'],
    ['\uFEFFx', '=EF=BB=BFx'],
    ['*>$', '=2A=3E=24'],
  ])('%j is %s', (value, token) => {
    expect(encodeToken(value)).toBe(token);
    expect(decodeToken(token)).toBe(value);
  });

  it.each([
    ['nothing', ''],
    ['lower-case hex', '=3a'],
    ['half lower-case hex', '=c3=A9'],
    ['an escaped plain byte', '=41'],
    ['an escaped hyphen', 'a=2D'],
    ['a truncated escape', 'a=2'],
    ['a lone escape sign', 'a='],
    ['no hex', '=ZZ'],
    ['hex with a space', '=2 '],
    ['a byte that begins no character', '=FF'],
    ['a truncated character', '=C3'],
    ['an overlong character', '=C0=AF'],
    ['a lone surrogate', '=ED=A0=80'],
    ['a character outside of the alphabet', 'a.b'],
    ['a character outside of ASCII', 'é'],
    ['a line break at the end', 'main\n'],
  ])('refuses %s', (_title, token) => expect(decodeToken(token)).toBeUndefined());
});
