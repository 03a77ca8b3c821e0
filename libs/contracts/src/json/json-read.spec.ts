import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCarried, readJson } from './json-read.js';
import { JsonText, writeJson } from './json-text.js';
import { anyJsonText, withoutSpaces } from './json.fixture.js';

const DATA = { data: true } as const;

describe('a carried value', () => {
  it('keeps its text except for spaces, at any place', () => {
    fc.assert(
      fc.property(anyJsonText(), anyJsonText(), anyJsonText(), fc.string(), (data, before, behind, name) => {
        const other = JSON.stringify(`x${name}`);
        const text = `{"a": ${before}, "data" :${data} , ${other}:[ ${behind}]}`;
        const read = readJson(text, DATA);
        expect(read).toMatchObject({ ok: true, value: { data: { text: withoutSpaces(data) } } });
        expect(parseCarried(text, DATA)).toEqual(read.ok ? read.value : undefined);
        if (!read.ok) return;
        const rest = { ...(read.value as object), data: 0 };
        expect(rest).toEqual({ ...(JSON.parse(text) as object), data: 0 });
      }),
      { numRuns: 2_000 },
    );
  });

  it('is found below arrays and members, and nowhere else', () => {
    const text = '{"data":1.0,"sends":[{"data":2.0},{"x":{"data":3.0}},{"data":"4"}],"state":{"data":5.0}}';
    expect(parseCarried(text, { state: true, sends: { '*': { data: true } } })).toEqual({
      data: 1,
      sends: [{ data: new JsonText('2.0') }, { x: { data: 3 } }, { data: new JsonText('"4"') }],
      state: new JsonText('{"data":5.0}'),
    });
  });

  it('is found as the last member with the same result as elsewhere, without a walk', () => {
    const carried = { data: true, sends: { '*': { data: true } } } as const;
    const member = fc.oneof(
      anyJsonText().map((value) => `"a":${withoutSpaces(value)}`),
      anyJsonText().map((value) => `"data":${withoutSpaces(value)}`),
      fc.constantFrom('"sends":[{"data":1.0}]', '"sends":[]', '"b":",\\"data\\":"', '"c":{"x":1,"data":2.0}'),
    );
    fc.assert(
      fc.property(fc.array(member, { maxLength: 4 }), (members) => {
        const text = `{"v":1${members.map((one) => `,${one}`).join('')}}`;
        expect(parseCarried(text, carried, 'data')).toEqual(parseCarried(text, carried));
      }),
      { numRuns: 2_000 },
    );
    expect(() => parseCarried('{"v":1,"data":{]}', carried, 'data')).toThrow(SyntaxError);
  });

  it('of a duplicate key, which our own writers never write, is the last one, as in JSON.parse', () => {
    expect(parseCarried('{"data":1,"data":2.0}', DATA)).toEqual({ data: new JsonText('2.0') });
  });
});

describe('JSON that two readers may read differently is refused with its place', () => {
  const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;

  it.each<[string, string, RegExp]>([
    ['{"id":"a","id":"b"}', 'id', /twice/],
    ['{"id":"a","\\u0069d":"b"}', 'id', /twice/],
    ['{"id":"a","id":"a"}', 'id', /twice/],
    ['{"id":"\\"","id":"\\""}', 'id', /twice/],
    ['{"data":{"a":[1,{"b":1,"b":2}]}}', 'data.a.1.b', /twice/],
    ['{"data":{"":1,"":2}}', 'data.', /twice/],
    ['{"__proto__":"x"}', '__proto__', /objects are made of/],
    ['{"data":{"__proto__":{}}}', 'data.__proto__', /objects are made of/],
    ['{"data":{"\\u005f_proto__":{}}}', 'data.__proto__', /objects are made of/],
    ['{"data":{"constructor":{"prototype":{}}}}', 'data.constructor.prototype', /objects are made of/],
    ['{"text":"x","__proto__":{"admin":true}}', '__proto__', /objects are made of/],
    ['{"data":[{"__proto__":1}]}', 'data.0.__proto__', /objects are made of/],
    ['{"text":"x","constructor":{"prototype":{}}}', 'constructor.prototype', /objects are made of/],
    ['{"text":"\\ud800"}', 'text', /surrogate/],
    ['{"text":"\\uDC00x"}', 'text', /surrogate/],
    ['{"data":["ok","\\ud83d \\ude00"]}', 'data.1', /surrogate/],
    ['{"data":{"\\udfff":1}}', 'data.\ufffd', /surrogate pair in a key/],
    ['["\\udfff"]', '0', /surrogate/],
    ['"\\udfff"', '', /surrogate/],
    [`{"data":${nested(65)}}`, `data${'.0'.repeat(64)}`, /too deeply/],
    [`{"text":${nested(64)}}`, `text${'.0'.repeat(63)}`, /too deeply/],
    [`{"data":{"a":${nested(500_000)}}}`, `data.a${'.0'.repeat(63)}`, /too deeply/],
  ])('%.60s', (text, field, found) => {
    const read = readJson(text, DATA);
    expect(read).toMatchObject({ ok: false, fault: { field, found: expect.stringMatching(found) as string } });
  });

  it.each([
    `{"data":${nested(64)}}`,
    '{"text":"\\ud83d\\ude00","data":{"\\ud83d\\ude00":1}}',
    '{"text":"say \\"id\\":\\"x\\" and \\\\","id":"a"}',
    '{"data":{"constructor":"ACME","prototype":1,"a":{"b":1},"c":{"b":1}}}',
    '{}',
    ' [ ] ',
    '0',
  ])('and this is not: %.60s', (text) => {
    expect(readJson(text, DATA).ok).toBe(true);
  });

  it.each([
    '',
    'hello',
    '{',
    '{"a":',
    '{"a":1}{"a":2}',
    '{"a":1,}',
    "{'a':1}",
    '{"a":01}',
    '\ufeff{}',
    '{"a":"\n"}',
    'NaN',
  ])('is not JSON: %j', (text) => expect(readJson(text, DATA)).toEqual({ ok: false }));

  it('the fast path for objects of texts accepts nothing that the walk refuses', () => {
    const names = fc.constantFrom('"id"', '"\\u0069d"', '"text"', '"a\\"b"', '"__proto__"', '"a\\\\"', '"\\ud800"');
    const value = fc.constantFrom(
      '"x"',
      '"\\""',
      '"\\\\"',
      '"\\u0022"',
      '":\\"id\\":\\""',
      '"\\ud800"',
      '"\\ud83d\\ude00"',
      '1',
      '""',
    );
    const members = fc.array(
      fc.tuple(names, value).map(([name, of]) => `${name}:${of}`),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(members, (list) => {
        const text = `{${list.join(',')}}`;
        // An array in it forces the walk.
        const walked = readJson(`{"w":[]${list.length === 0 ? '' : ','}${list.join(',')}}`, DATA);
        expect(readJson(text, DATA).ok).toBe(walked.ok);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('writeJson', () => {
  it('inserts texts unchanged, whatever the texts around them contain', () => {
    fc.assert(
      fc.property(anyJsonText(), fc.string(), fc.string(), (text, key, value) => {
        const carried = new JsonText(withoutSpaces(text));
        const name = `k${key}`;
        const written = writeJson({ a: [carried, value, { [name]: carried }], b: carried });
        const [k, v] = [JSON.stringify(name), JSON.stringify(value)];
        expect(written).toBe(`{"a":[${carried.text},${v},{${k}:${carried.text}}],"b":${carried.text}}`);
      }),
    );
  });

  it('ignores a string that looks like a placeholder of a text', () => {
    // A value that is written along can see the placeholder that stands for a text during the writing.
    let mark = '';
    const carried = new JsonText('1.0');
    writeJson({ carried, spy: { toJSON: () => (mark = (carried.toJSON() as { rawJSON: string }).rawJSON) } });
    expect(mark).toMatch(/^-0E\d+$/);
    const odd = { [`":${mark}`]: `,${mark},"x":${mark}` };
    expect(writeJson({ odd, carried, [mark]: carried })).toBe(
      `{"odd":${JSON.stringify(odd)},"carried":1.0,"${mark}":1.0}`,
    );
  });

  it('writes a bigint as its digits, and refuses what JSON cannot hold', () => {
    expect(writeJson({ id: 12345678901234567890n, data: new JsonText('1.50') })).toBe(
      '{"id":12345678901234567890,"data":1.50}',
    );
    expect(writeJson(undefined)).toBeUndefined();
    expect(JsonText.of(() => {})).toBeUndefined();
    const round: { own?: unknown } = {};
    round.own = round;
    expect(() => writeJson(round)).toThrow(TypeError);
  });

  it('outside of writeJson a text is still written with all of its digits', () => {
    const data = new JsonText('{"10":1,"2":12345678901234567890,"x":0.10000000000000000001}');
    expect(JSON.stringify({ data })).toBe('{"data":{"2":12345678901234567890,"10":1,"x":0.10000000000000000001}}');
  });
});

describe('a parsed text', () => {
  it.each<[string, unknown]>([
    ['9007199254740993', 9007199254740993n],
    ['-12345678901234567890', -12345678901234567890n],
    ['9007199254740992', 9007199254740992],
    ['1e21', 1e21],
    ['1.0', 1],
    ['-0', -0],
    ['"12345678901234567890"', '12345678901234567890'],
    ['0.1000000000000000', 0.1],
    ['100000000000000000000', 100000000000000000000],
  ])('%s is %s', (text, value) => expect(new JsonText(text).value).toEqual(value));

  it.each(['0.12345678901234567890', '1e400', '-1E+0999', '1e-400', '4503599627370497.25', '9007199254740993.0'])(
    '%s is kept exactly, and is written as it was',
    (text) => {
      const { value } = new JsonText(`[${text}]`) as { value: unknown[] };
      expect((value[0] as { rawJSON: string }).rawJSON).toBe(text);
      expect(writeJson(value)).toBe(`[${text}]`);
    },
  );

  it('has every digit when it is written again', () => {
    const digits = fc.tuple(fc.bigInt(), fc.bigInt({ min: 0n }), fc.integer({ min: -400, max: 400 }));
    fc.assert(
      fc.property(digits, ([whole, part, power]) => {
        const text = `[${whole},${whole}.${part},${whole}e${power}]`;
        const again = writeJson(new JsonText(text).value) ?? '';
        const spelled = (json: string): string[] => json.slice(1, -1).split(',').map(canonical);
        expect(spelled(again)).toEqual(spelled(text));
      }),
      { numRuns: 2_000 },
    );
  });
});

/** The number as digits and a power of ten, computed with integers only. */
function canonical(text: string): string {
  const [mantissa = '', power = '0'] = text.toLowerCase().split('e');
  const [whole = '', part = ''] = mantissa.split('.');
  let value = BigInt(whole.replace('-', '') + part);
  let exponent = Number(power) - part.length;
  if (value === 0n) return '0';
  for (; value % 10n === 0n; value /= 10n) exponent++;
  return `${whole.startsWith('-') ? '-' : ''}${value}e${exponent}`;
}
