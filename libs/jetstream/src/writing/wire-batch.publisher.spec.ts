import type { Msg, NatsConnection } from '@nats-io/transport-node';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectedBroker, expectNothingLeft, until, type ConnectedBroker } from '#testing';
import type { BrokerConnection } from '../connection/nats-connection.client.js';
import { RequestChannel } from './request-channel.publisher.js';
import { WireBatch } from './wire-batch.publisher.js';

let broker: ConnectedBroker;
beforeAll(async () => void (broker = await connectedBroker()));
afterAll(async () => {
  await broker[Symbol.asyncDispose]();
  await expectNothingLeft();
});

type Headers = Record<string, string>;
type Body = string | Uint8Array;

/** What a subscriber gets, except the reply, which names the request. */
interface Got {
  readonly subject: string;
  readonly headers: [string, string[]][] | undefined;
  readonly body: string;
  /** Headers and body, as they arrived. */
  readonly bytes: number;
}

const got = (message: Msg): Got => ({
  subject: message.subject,
  headers: message.headers === undefined ? undefined : [...message.headers],
  body: Buffer.from(message.data).toString('hex'),
  bytes: (message as unknown as { _rdata: Uint8Array })._rdata.length,
});

/** A client without a known protocol object: everything else goes to the real client. */
function withoutInternals(connection: BrokerConnection): BrokerConnection {
  const nc = new Proxy(connection.nc, {
    get(target, name) {
      if (name === 'protocol') return undefined;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  return Object.create(connection, { nc: { value: nc } }) as BrokerConnection;
}

/** Sends them in one turn of the event loop. The result: what a subscriber got, or why it was not sent. */
async function send(connection: BrokerConnection, all: readonly (readonly [string, Headers, Body])[]) {
  const heard: Got[] = [];
  const subscription = broker.connection.nc.subscribe('wire.>', {
    callback: (_error, message) => {
      heard.push(got(message));
      message.respond('yes');
    },
  });
  await broker.connection.nc.flush();
  const channel = new RequestChannel(connection, { timeoutMs: 5_000, read: () => ({ kind: 'answered' }) as const });
  const outcomes = await Promise.all(
    all.map(
      ([subject, headers, body]) =>
        new Promise((resolve) => {
          channel.send(subject, body, headers, resolve);
        }),
    ),
  );
  channel.close();
  subscription.unsubscribe();
  return { heard, outcomes: outcomes.map((outcome) => (outcome as { kind: string }).kind) };
}

it('finds the protocol of nats.js to write directly. If this fails after an upgrade: fix `protocolOf`, or each publish makes a dozen objects again', async () => {
  const { nc } = broker.connection;
  const { protocol } = nc as unknown as { protocol: Record<string, unknown> };
  expect(protocol).toMatchObject({
    sendCommand: expect.any(Function),
    outMsgs: expect.any(Number),
    outBytes: expect.any(Number),
    noMorePublishing: false,
  });
  const before = nc.stats();
  const heard = new Promise<Msg>((resolve) => {
    nc.subscribe('internals', { max: 1, callback: (_error, message) => resolve(message) });
  });
  const batch = new WireBatch(nc);
  expect(batch.add('internals', 'answer.here', { a: 'b' }, 'body')).toBe(true);
  batch.write();
  const message = await heard;
  expect([message.reply, message.headers?.get('a'), message.string()]).toEqual(['answer.here', 'b', 'body']);
  const { outMsgs, outBytes } = nc.stats();
  // As the client counts: the headers and the body.
  expect([outMsgs - before.outMsgs, outBytes - before.outBytes]).toEqual([1, 'NATS/1.0\r\na: b\r\n\r\nbody'.length]);
});

describe('a subscriber gets the same as from the client', () => {
  const text = fc.string({ unit: 'binary', maxLength: 40 });
  const name = fc.oneof(fc.stringMatching(/^[!-9;-~]{1,8}$/), fc.constantFrom('Nats-Msg-Id', 'a b', 'x:y', 'ä', ''));
  const value = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.string({ unit: 'grapheme', maxLength: 5 }),
    fc.constantFrom('', ' padded ', 'line\r\nInjected: yes', 'half\n', '\ttab', 'später'),
  );
  const headers = fc.dictionary(name, value, { maxKeys: 4, noNullPrototype: true });
  const body = fc.oneof(text, fc.uint8Array({ maxLength: 40 }), fc.constantFrom('', 'später ✓ 🙂', '\ud800', '\r\n'));
  const subject = fc.constantFrom('wire.a', 'wire.b=3A_-$', 'wire.später', 'wire.a b', 'wire.a\r\nPUB wire.x 0', '');

  it('for any message, and the same messages are refused', async () => {
    const bare = withoutInternals(broker.connection);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(subject, headers, body), { maxLength: 8, size: 'max' }), async (all) => {
        const byUs = await send(broker.connection, all);
        expect(byUs).toEqual(await send(bare, all));
        expect(byUs.heard.length).toBe(byUs.outcomes.filter((kind) => kind === 'answered').length);
      }),
      { numRuns: 200 },
    );
  });

  it('for many and for large messages, in the order of sending', async () => {
    const all = Array.from({ length: 400 }, (_, i): [string, Headers, Body] => {
      // Every seventh cannot be written directly: it must not overtake the others.
      const headers: Headers = i % 7 === 0 ? { n: `${i} ä` } : { n: `${i}` };
      return [`wire.${i}`, headers, i % 50 === 0 ? 'ä'.repeat(300_000) : Buffer.alloc(i % 9 === 0 ? 100_000 : i, i)];
    });
    const byUs = await send(broker.connection, all);
    expect(byUs.heard.map(({ subject }) => subject)).toEqual(all.map(([subject]) => subject));
    const byTheClient = await send(withoutInternals(broker.connection), all);
    expect(byUs.heard).toEqual(byTheClient.heard);
  });

  it('up to the largest message that the server accepts, and no larger one leaves the process', async () => {
    const max = broker.connection.nc.info?.max_payload ?? 0;
    const room = max - 'NATS/1.0\r\na: b\r\n\r\n'.length;
    const all: [string, Headers, Body][] = [
      ['wire.fits', { a: 'b' }, Buffer.alloc(room)],
      ['wire.large', { a: 'b' }, Buffer.alloc(room + 1)],
      ['wire.bare', {}, 'x'.repeat(max)],
      ['wire.barelarge', {}, 'ä'.repeat(max / 2) + 'x'],
    ];
    for (const connection of [broker.connection, withoutInternals(broker.connection)]) {
      const { heard, outcomes } = await send(connection, all);
      expect(outcomes).toEqual(['answered', 'unsendable', 'answered', 'unsendable']);
      expect(heard.map(({ subject }) => subject)).toEqual(['wire.fits', 'wire.bare']);
    }
    await until('the connection still stands', () => broker.connection.isUp);
  });
});

it('writes nothing directly for a client that is closed', () => {
  const protocol = { sendCommand: () => {}, outMsgs: 0, outBytes: 0, noMorePublishing: true };
  const draining = new WireBatch({ protocol, info: { max_payload: 100 } } as unknown as NatsConnection);
  expect(draining.add('a', 'b', {}, '')).toBe(false);
});
