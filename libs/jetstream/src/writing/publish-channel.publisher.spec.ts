import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectedBroker, expectNothingLeft, type ConnectedBroker } from '#testing';
import { readAck } from './publish-channel.publisher.js';

let broker: ConnectedBroker;
beforeAll(async () => {
  broker = await connectedBroker();
  await broker.connection.jsm.streams.add({ name: 'S', subjects: ['s.>'] });
});
afterAll(async () => {
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

it('reports for each publish what the server answers', async () => {
  const { channel } = broker;
  const id = { 'Nats-Msg-Id': 'm1' };
  expect(await channel.publish('s.a', 'one', id)).toEqual({ kind: 'stored', seq: 1, duplicate: false });
  expect(await channel.publish('s.a', 'one', id)).toEqual({ kind: 'stored', seq: 1, duplicate: true });
  expect(await channel.publish('s.a', '', {})).toEqual({ kind: 'stored', seq: 2, duplicate: false });
  const refused = await channel.publish('s.a', 'x', { 'Nats-Expected-Last-Subject-Sequence': '1' });
  expect(refused).toMatchObject({ kind: 'refused', code: 10071 });
  expect(await channel.publish('elsewhere', 'x', {})).toEqual({ kind: 'unsent', why: 'no-responders' });
  expect(await channel.publish('s.a', 'x', { 'bad name': 'x' })).toMatchObject({ kind: 'unsendable' });
  expect(await channel.publish('s.a', 'x', { name: 'x\r\nInjected: yes' })).toMatchObject({ kind: 'unsendable' });
  const last = await broker.reader.leaderLastSeq('S');
  expect(last).toBe(2);
});

it.each([
  ['{"stream":"LK_TURNS", "seq":12}', { kind: 'stored', seq: 12, duplicate: false }],
  ['{"stream":"S", "domain":"hub", "seq":12}', { kind: 'stored', seq: 12, duplicate: false }],
  ['{"stream":"S","domain":"hub","seq":12}', { kind: 'stored', seq: 12, duplicate: false }],
  ['{"stream":"S", "seq":12,"duplicate": true}', { kind: 'stored', seq: 12, duplicate: true }],
  ['{"stream":"S","seq":12,"val":"\\"seq\\":5"}', { kind: 'stored', seq: 12, duplicate: false }],
  ['{"stream":"S","seq":12,"batch":"b","count":3}', { kind: 'stored', seq: 12, duplicate: false }],
  ['{"stream":"S","seq":0}', { kind: 'stored', seq: 0, duplicate: false }],
  [
    '{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"S","seq":0}',
    { kind: 'refused', code: 10071, description: 'wrong last sequence: 3' },
  ],
  ['{"stream":"S","error":{"code":503},"seq":7}', { kind: 'refused', code: 503, description: 'no description' }],
])('reads the answer %s', (text, outcome) => expect(readAck(text)).toEqual(outcome));

it('reads any JSON answer, and counts nothing as stored that is not', () => {
  const word = fc.oneof(fc.string({ maxLength: 6 }), fc.constantFrom('S', 'LK_TURNS', '"seq":5', 'a","seq":9}', '\\'));
  const ack = fc.record(
    {
      stream: word,
      domain: word,
      seq: fc.oneof(fc.nat(), fc.constantFrom(0, 1e15, 2 ** 53 + 2, 1.5, -1)),
      duplicate: fc.boolean(),
      val: word,
      batch: word,
      count: fc.nat(),
      error: fc.record({ code: fc.nat(), err_code: fc.nat(), description: word }),
    },
    { requiredKeys: [] },
  );
  const text = fc.tuple(ack, fc.boolean(), fc.infiniteStream(fc.nat())).map(([value, isWide, [first]]) => {
    // Fields in any order, as a later server may write them.
    const keys = Object.entries(value);
    const turned = [
      ...keys.slice((first ?? 0) % (keys.length + 1)),
      ...keys.slice(0, (first ?? 0) % (keys.length + 1)),
    ];
    const plain = JSON.stringify(Object.fromEntries(turned));
    return isWide ? plain.replaceAll(/,(?=")/g, ', ') : plain;
  });
  const cut = fc.tuple(text, fc.nat(80)).map(([whole, at]) => whole.slice(0, at));
  fc.assert(
    fc.property(fc.oneof(text, cut), (given) => {
      let value: { seq?: number; duplicate?: boolean; error?: { code: number; err_code: number; description: string } };
      try {
        value = JSON.parse(given) as typeof value;
      } catch {
        expect(() => readAck(given)).toThrow(SyntaxError);
        return;
      }
      const { error } = value;
      expect(readAck(given)).toEqual(
        error === undefined
          ? { kind: 'stored', seq: value.seq ?? 0, duplicate: value.duplicate === true }
          : { kind: 'refused', code: error.err_code, description: error.description },
      );
    }),
    { numRuns: 5_000 },
  );
});
