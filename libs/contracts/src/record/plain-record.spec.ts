import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DECISIONS, OUTCOMES } from './decisions.js';
import { isPlainTurn } from './plain-record.js';
import { sessionRecord } from './record.js';

/** Nearly right: each field is correct, or one of these values. */
const odd = fc.constantFrom<unknown>(null, -1, 0, 1.5, 2 ** 53, '', 'x', 1, true, [], {}, [[1, 2]], { a: 1 }, [null]);
const mostly = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 60, arbitrary }, { weight: 1, arbitrary: odd });
/** Sometimes with an additional field. */
const alone = (fields: Record<string, fc.Arbitrary<unknown>>, more: Record<string, fc.Arbitrary<unknown>>) =>
  fc.oneof(
    { weight: 20, arbitrary: fc.record(fields, { noNullPrototype: true }) },
    { weight: 1, arbitrary: fc.record({ ...fields, ...more }, { requiredKeys: [], noNullPrototype: true }) },
  );

const short = fc.string({ maxLength: 4 });
const sequence = fc.nat();
const decision = alone(
  { id: mostly(short), seq: mostly(sequence), decision: mostly(fc.constantFrom(...DECISIONS)) },
  { reason: mostly(short) },
);
const reply = alone({ kind: mostly(fc.constant('reply')), text: mostly(short), data: fc.jsonValue() }, { extra: odd });
const always = {
  v: mostly(fc.constant(1)),
  kind: mostly(fc.constant('turn')),
  commitId: mostly(short),
  worker: mostly(short),
  runId: mostly(short),
  upto: mostly(sequence),
  attempt: mostly(fc.integer({ min: 1 })),
  nextSequence: mostly(fc.oneof(fc.constant(null), sequence)),
  startedAt: mostly(fc.double({ noNaN: true, noDefaultInfinity: true })),
  endedAt: mostly(sequence),
  run: mostly(fc.constant(null)),
  done: mostly(fc.constant([])),
  children: mostly(fc.constant({})),
  relayed: mostly(fc.constant({})),
  status: mostly(fc.constantFrom(...OUTCOMES)),
  messages: mostly(fc.array(decision, { maxLength: 3 })),
  sends: mostly(fc.array(reply, { maxLength: 3 })),
};
const record = fc
  .tuple(
    alone(always, { holder: odd, stateSeq: odd, usage: odd, ['__proto__']: odd }),
    fc.option(fc.jsonValue(), { nil: undefined }),
  )
  .map(([fields, state]) => JSON.stringify({ ...fields, state }));

it('accepts only what the schema accepts, with the same result', () => {
  let passed = 0;
  fc.assert(
    fc.property(record, (text) => {
      const value = JSON.parse(text) as unknown;
      if (!isPlainTurn(value)) return;
      passed++;
      const parsed = sessionRecord.safeParse(value);
      expect(parsed).toEqual({ success: true, data: value });
      expect(Object.keys(parsed.data ?? {}).toSorted()).toEqual(Object.keys(value as object).toSorted());
    }),
    { numRuns: 20_000 },
  );
  expect(passed).toBeGreaterThan(2_000);
});

const plain =
  '{"v":1,"kind":"turn","commitId":"c","worker":"w","runId":"r","upto":1,"attempt":1,"nextSequence":null,"startedAt":1,' +
  '"endedAt":2,"run":null,"done":[],"children":{},"relayed":{},"status":"succeeded","messages":[],"sends":[]}';

it('accepts the common record, and none with an infinite time or an additional, missing or renamed field', () => {
  expect(isPlainTurn(JSON.parse(plain))).toBe(true);
  expect(isPlainTurn(JSON.parse(plain.replace('"endedAt":2', '"endedAt":1e999')))).toBe(false);
  expect(isPlainTurn(JSON.parse(plain.replace('"v":1,', '"v":1,"__proto__":1,')))).toBe(false);
  expect(isPlainTurn(JSON.parse(plain.replace('"v":1,', '')))).toBe(false);
  expect(isPlainTurn(JSON.parse(plain.replace('"relayed"', '"relayd"')))).toBe(false);
});

it.each(['null', '5', '"x"', '[]', '{}', '{"__proto__":{"v":1}}'])('refuses %s', (text) =>
  expect(isPlainTurn(JSON.parse(text))).toBe(false),
);
