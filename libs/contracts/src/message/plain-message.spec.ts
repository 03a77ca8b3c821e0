import fc from 'fast-check';
import { expect, it } from 'vitest';
import { checkSendMessageBody, MAX_TEXT_BYTES, parseInboxEntry, sendMessageBody } from './message.js';

/**
 * Texts at the limits: empty, at the longest length and longer, control characters, half characters, names that objects
 * inherit.
 */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    -0,
    1,
    1.5,
    true,
    [],
    {},
    ['x'],
    { toJSON: 1 },
    '',
    '\u0000',
    '\n',
    '\u007f',
    '\u0085',
    '\u00a0',
  ),
  fc.constantFrom('\u2028', '\ud800', 'x\udc00', '\udc00\ud800', '\ud83d\ude00', 'toString', '__proto__'),
  fc.constantFrom(255, 256, 257, 511, 512, 513).map((length) => 'x'.repeat(length)),
  fc.constantFrom(127, 128, 129, 255, 256, 257).map((length) => '\ud83d\ude00'.repeat(length)),
);
const long = fc.constantFrom(
  ...['x', 'é', '€', '\ud83d\ude00'].flatMap((char) => {
    const fits = Math.floor(MAX_TEXT_BYTES / Buffer.byteLength(char));
    return [fits, fits + 1].map((length) => char.repeat(length));
  }),
);
const mostly = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 8, arbitrary }, { weight: 2, arbitrary: odd });
const short = fc.string({ minLength: 1, maxLength: 4 });
const more = fc.oneof(
  { weight: 8, arbitrary: fc.constant([]) },
  {
    weight: 2,
    arbitrary: fc.array(
      fc.tuple(
        fc.constantFrom('__proto__', 'constructor', 'toString', 'v', 'kind', 'data', 'strategy', 'extra', ''),
        odd,
      ),
      { maxLength: 2 },
    ),
  },
);
const texts = {
  id: mostly(short),
  text: fc.oneof({ weight: 20, arbitrary: mostly(short) }, { weight: 1, arbitrary: long }),
  thread: mostly(short),
  channel: mostly(short),
};

/** As text, with the fields in any order: a name may occur twice, or be `__proto__`, which a literal cannot have. */
function written(fields: object, others: readonly (readonly [string, unknown])[]): fc.Arbitrary<string> {
  const all = [...Object.entries(fields), ...others];
  return fc
    .shuffledSubarray(all, { minLength: all.length })
    .map((pairs) => `{${pairs.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`);
}
const bodies = fc
  .tuple(fc.record(texts, { requiredKeys: [], noNullPrototype: true }), more)
  .chain(([fields, others]) => written(fields, others));
const entries = fc
  .tuple(
    fc.record({ ...texts, v: fc.constant(1), kind: fc.constant('message') }, { requiredKeys: ['id', 'v', 'kind'] }),
    more,
  )
  .chain(([fields, others]) => written(fields, others));

const keysOf = (value: object): string[] => Object.keys(value).toSorted();

it('accepts only bodies that the schema accepts, with the same result', () => {
  let taken = 0;
  fc.assert(
    fc.property(bodies, (text) => {
      const checked = checkSendMessageBody(JSON.parse(text));
      const parsed = sendMessageBody.safeParse(JSON.parse(text));
      expect(checked.ok).toBe(parsed.success);
      if (!checked.ok || !parsed.success) return;
      taken++;
      expect(checked.body).toEqual(parsed.data);
      expect(keysOf(checked.body)).toEqual(keysOf(parsed.data));
    }),
    { numRuns: 5_000 },
  );
  expect(taken).toBeGreaterThan(500);
});

it('accepts only stored messages that the schema accepts, with the same result', () => {
  let taken = 0;
  fc.assert(
    fc.property(entries, (text) => {
      const parsed = parseInboxEntry(text);
      // With a time it is not plain any more, and the schema checks it.
      const withTime = parseInboxEntry(`{"sentAt":"2026-01-02T03:04:05Z",${text.slice(1)}`);
      expect(parsed.ok).toBe(withTime.ok);
      if (!parsed.ok || !withTime.ok) return;
      taken++;
      const { sentAt: _sentAt, ...rest } = withTime.message as { sentAt?: string };
      expect(parsed.message).toEqual(rest);
      expect(keysOf(parsed.message)).toEqual(keysOf(rest));
    }),
    { numRuns: 5_000 },
  );
  expect(taken).toBeGreaterThan(500);
});
