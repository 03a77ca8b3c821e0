import { describe, expect, it } from 'vitest';
import { summarize } from './turn-summary.js';

const linesOf = (...texts: string[]): readonly string[] => summarize(texts.map((text) => ({ text }))).lines;

describe('summarize', () => {
  it('has a line for each text, in order', () => expect(linesOf('one', 'two')).toEqual(['one', 'two']));

  it('makes one line of a text of many', () => {
    expect(linesOf('  a\n\n b\tc\u00a0d\r\n')).toEqual(['a b c d']);
  });

  it('also counts messages without a line: data alone, and blank texts', () => {
    expect(summarize([{ text: 'x' }, {}, { text: ' \n' }])).toEqual({ count: 3, lines: ['x'] });
  });

  it('cuts a line at 160 characters, the ellipsis among them, and no character in two', () => {
    expect(linesOf('x'.repeat(160))).toEqual(['x'.repeat(160)]);
    expect(linesOf('x'.repeat(161))).toEqual([`${'x'.repeat(159)}…`]);
    expect(linesOf('🙂'.repeat(160))).toEqual(['🙂'.repeat(160)]);
    expect(linesOf('🙂'.repeat(200_000))).toEqual([`${'🙂'.repeat(159)}…`]);
  });

  it('keeps the newest 50 lines, and counts all', () => {
    const { count, lines } = summarize(Array.from({ length: 60 }, (_, i) => ({ text: `t${i}` })));
    expect([count, lines.length, lines[0], lines.at(-1)]).toEqual([60, 50, 't10', 't59']);
  });
});
