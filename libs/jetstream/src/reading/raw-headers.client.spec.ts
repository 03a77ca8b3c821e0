import { headers as natsHeaders, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectedBroker, expectNothingLeft, type ConnectedBroker } from '#testing';
import { RawHeaders } from './raw-headers.client.js';

let broker: ConnectedBroker;
beforeAll(async () => void (broker = await connectedBroker()));
afterAll(async () => {
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

/** As the broker sends it back. */
async function sent(headers: MsgHdrs | undefined, body = 'body'): Promise<Msg> {
  const { nc } = broker.connection;
  const { promise, resolve } = Promise.withResolvers<Msg>();
  const subscription = nc.subscribe('headers', { max: 1, callback: (_error, message) => resolve(message) });
  nc.publish('headers', body, headers === undefined ? {} : { headers });
  const message = await promise;
  subscription.unsubscribe();
  return message;
}

/** A message of a client that keeps its bytes elsewhere. */
const withoutInternals = (message: Msg): Msg => ({ headers: message.headers }) as unknown as Msg;

const some = (): MsgHdrs => {
  const made = natsHeaders();
  made.set('Nats-Msg-Id', 'm1');
  made.set('X-Nats-Msg-Id', 'another');
  made.append('many', 'first: of two');
  made.append('many', 'second');
  made.set('wörd'.replace('ö', 'o'), 'später ✓');
  return made;
};

it('finds the bytes of the headers where nats.js keeps them. If this fails after an upgrade: fix `headerLines`, or the client parses all headers of each message', async () => {
  const message = (await sent(some())) as unknown as { _rdata: Uint8Array; _msg: { hdr: number } };
  expect(message._rdata).toBeInstanceOf(Uint8Array);
  const lines = Buffer.from(message._rdata.subarray(0, message._msg.hdr)).toString();
  expect(lines.startsWith('NATS/1.0\r\nNats-Msg-Id: m1\r\n')).toBe(true);
  expect(lines.endsWith('\r\n\r\n')).toBe(true);
  expect(Buffer.from(message._rdata.subarray(message._msg.hdr)).toString()).toBe('body');
  const bare = (await sent(undefined)) as unknown as { _msg: { hdr: number } };
  expect(bare._msg.hdr).toBe(-1);
});

describe.each([
  ['with the known client', (message: Msg) => message],
  ['with a client that keeps them elsewhere', withoutInternals],
])('%s', (_which, of) => {
  it('reads each header as the client does', async () => {
    const headers = new RawHeaders(of(await sent(some())));
    const names = ['Nats-Msg-Id', 'X-Nats-Msg-Id', 'many', 'word', 'nats-msg-id', 'absent', 'NATS/1.0', 'm1'];
    expect(names.map((name) => headers.get(name))).toEqual([
      'm1',
      'another',
      'first: of two',
      'später ✓',
      '',
      '',
      '',
      '',
    ]);
    expect(headers.code).toBe(0);
  });

  it('finds none in a message without headers, whatever its body is', async () => {
    const headers = new RawHeaders(of(await sent(undefined, 'NATS/1.0 404 x\r\nNats-Msg-Id: m1\r\n\r\n')));
    expect([headers.get('Nats-Msg-Id'), headers.code]).toEqual(['', 0]);
  });

  it.each([
    [404, 'No Messages'],
    [503, 'No Responders'],
  ])('reads the status %i', async (code, description) => {
    expect(new RawHeaders(of(await sent(natsHeaders(code, description)))).code).toBe(code);
  });
});

it('reads any headers as the client does', async () => {
  const name = fc.stringMatching(/^[!-9;-~]{1,8}$/);
  const value = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !/[\r\n]/.test(text));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, value), { maxLength: 6, size: 'max' }), name, async (all, other) => {
      const made = natsHeaders();
      for (const [key, text] of all) made.append(key, text);
      const message = await sent(made.keys().length === 0 ? undefined : made);
      const raw = new RawHeaders(message);
      for (const key of [other, ...all.map(([key]) => key)]) {
        expect(raw.get(key)).toBe(message.headers?.get(key) ?? '');
      }
      expect(raw.code).toBe(message.headers?.code ?? 0);
    }),
    { numRuns: 300 },
  );
});
