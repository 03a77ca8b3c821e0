import fc from 'fast-check';

/** JSON texts of every kind that a reader may change: numbers, escapes, orders of keys, spaces. */
export function anyJsonText(): fc.Arbitrary<string> {
  const space = fc.constantFrom('', '', '', ' ', '\n', '\t', '\r\n  ');
  const spaced = (token: fc.Arbitrary<string>): fc.Arbitrary<string> =>
    fc.tuple(space, token, space).map((parts) => parts.join(''));
  const digits = fc.bigInt({ min: 0n, max: 10n ** 24n });
  const number = fc
    .tuple(
      fc.constantFrom('', '-'),
      digits,
      fc.option(
        digits.map((part) => `.${part}0`),
        { nil: '' },
      ),
      fc.constantFrom('', '', 'e5', 'E-03', 'e+400'),
    )
    .map((parts) => parts.join(''));
  const string = fc.oneof(
    fc.string({ unit: 'grapheme' }).map((text) => JSON.stringify(text)),
    fc.constantFrom(
      '"\\u0041"',
      '"\\/"',
      '"\\ud83d\\ude00"',
      '"\\u0000"',
      '"\\\\\\""',
      '"{\\"a\\": [1 , 2]}"',
      '" , : "',
      '"data"',
    ),
  );
  const key = fc.oneof(string, fc.constantFrom('"10"', '"2"', '"constructor"', '"toString"', '"data"', '"state"'));
  const { value } = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, depthIdentifier: 'json' },
      spaced(fc.oneof(number, string, fc.constantFrom('true', 'false', 'null', '[]', '{}', '[ ]'))),
      spaced(fc.array(tie('value'), { maxLength: 4, depthIdentifier: 'json' }).map((items) => `[${items.join(',')}]`)),
      spaced(
        fc
          .uniqueArray(fc.tuple(key, space, tie('value')), {
            selector: ([name]) => JSON.parse(name) as string,
            maxLength: 4,
            depthIdentifier: 'json',
          })
          .map((members) => `{${members.map(([name, gap, of]) => `${gap}${name}${gap}:${of}`).join(',')}}`),
      ),
    ),
  }));
  // Random strings often are these words, which are refused as keys.
  return value.filter((text) => !/"(__proto__|prototype)"/.test(text));
}

/** Canonical spacing: a JSON text without spaces between its parts. */
export function withoutSpaces(text: string): string {
  return text.replaceAll(/("(?:[^"\\]|\\.)*")|\s+/g, (_match, string: string | undefined) => string ?? '');
}
