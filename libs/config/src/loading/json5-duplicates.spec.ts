import { describe, expect, it } from 'vitest';
import { findDuplicateKey } from './json5-duplicates.js';

describe('findDuplicateKey', () => {
  it.each([
    ['{}'],
    ['{a: 1, b: {a: 1}, c: [{a: 1}, {a: 1}]}'],
    ['{a: "a: 1, a: 2", b: \'{a:1}\'}'],
    ['{a: 1, /* a: 2 */ b: 2 // a: 3\n}'],
    ['{a: "\\", a: ", b: "//", c: "/*"}'],
    ['{a: .5, b: +1e3, c: Infinity, d: "x\\\ny"}'],
    [`{a: "${'\\\\'.repeat(300_000)}"}`],
  ])('none', (text) => expect(findDuplicateKey(text)).toBeUndefined());

  it.each([
    ['{a: 1, a: 2}', 'a', 1],
    ['{a: 1,\n"a": 2}', 'a', 2],
    ["{a: 1,\r\n\r\n'a': 2}", 'a', 3],
    ['{\\u0061: 1, a: 2}', 'a', 1],
    ['{x: [{b: 1}, {b: 1, b: 2}]}', 'b', 1],
    ['{a: {b: 1}, a: 1}', 'a', 1],
    ['{__proto__: 1, __proto__: 2}', '__proto__', 1],
    ['{a /* : */ : 1, // a\na: 2}', 'a', 2],
  ])('%j', (text, key, line) => expect(findDuplicateKey(text)).toEqual({ key, line }));
});
