import { describe, expect, it } from 'vitest';
import { JsonText, QUEUE_DEFAULTS } from '#contracts';
import { readInboxItem, type ItemRules } from './inbox-item.js';

const key = { shard: 0, agentToken: 'main', sessionToken: 's' };
const rules: ItemRules = { queueingOf: () => QUEUE_DEFAULTS };
const raw = (body: string | Uint8Array) => ({
  seq: 7,
  storedAtMs: 1,
  data: Buffer.from(body as string),
  header: () => '',
});
const read = (body: string | Uint8Array, more: Partial<ItemRules> = {}) =>
  readInboxItem(key, raw(body), { ...rules, ...more });

describe('an entry of the inbox', () => {
  it.each<[string, string, string]>([
    ['as we store it', '{"v":1,"kind":"message","id":"a","text":"x","data":{"10":1.0,"2":12345678901234567890}}', ''],
    [
      'with its members in another order',
      '{"data":{"10":1.0,"2":12345678901234567890},"text":"x","v":1,"kind":"message","id":"a"}',
      '',
    ],
    [
      'with spaces',
      '{ "v": 1, "kind":"message","id":"a", "text":"x", "data" : {"10": 1.0, "2": 12345678901234567890 } }',
      '',
    ],
    [
      'with another data in a text',
      '{"v":1,"kind":"message","id":"a","text":",\\"data\\":1}","data":{"10":1.0,"2":12345678901234567890}}',
      ',"data":1}',
    ],
  ])('has its data as the text that it came as: %s', (_title, body, text) => {
    const { content } = read(body);
    if (!content.ok || content.message.kind !== 'message') throw new Error('expected a message');
    expect(content.message).toMatchObject({ id: 'a', text: text === '' ? 'x' : text });
    expect(content.message.data).toEqual(new JsonText('{"10":1.0,"2":12345678901234567890}'));
  });

  it('L6 that cannot be prepared is rejected alone, and stops no reader', () => {
    const taskOf: ItemRules['taskOf'] = (_key, { id }) => {
      if (id === 'bad') throw new RangeError('no room');
      return undefined;
    };
    expect(read('{"v":1,"kind":"message","id":"bad"}', { taskOf })).toMatchObject({
      ...{ seq: 7, id: 'seq:7', content: { ok: false, problem: 'it cannot be prepared: no room' } },
    });
    expect(read('{"v":1,"kind":"message","id":"good"}', { taskOf })).toMatchObject({
      id: 'good',
      content: { ok: true },
    });
  });

  it('whose bytes are no UTF-8 is rejected', () => {
    const body = Buffer.from('{"v":1,"kind":"message","id":"gr\xfcn"}', 'latin1');
    expect(read(body)).toMatchObject({ id: 'seq:7', content: { ok: false, problem: 'the body is no UTF-8' } });
  });
});
