import { EventEmitter } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import type { Msg } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLogger } from '#telemetry';
import { connectedBroker, expectNothingLeft, startFaultProxy, until } from '#testing';
import { BrokerConnection } from '../connection/nats-connection.client.js';
import { RequestChannel } from './request-channel.publisher.js';

afterAll(expectNothingLeft);

const TIMEOUT_MS = 1_000;

/** A client without the protocol: it keeps what it publishes, and the spec triggers the answers. */
function fakeChannel(longestMs?: number) {
  const changes = new EventEmitter();
  const replies: string[] = [];
  let listener: (error: null, message: Msg) => void = () => {};
  let isClosed = false;
  const connection = {
    isUp: true,
    onDown(callback: () => void) {
      changes.on('down', callback);
      return () => changes.off('down', callback);
    },
    nc: {
      isClosed: () => isClosed,
      subscribe: (_subject: string, { callback }: { callback: typeof listener }) => {
        listener = callback;
        return { unsubscribe: () => (listener = () => {}) };
      },
      publish: (_subject: string, _body: string, { reply }: { reply: string }) => {
        if (isClosed) throw new Error('closed');
        replies.push(reply);
      },
    },
  };
  const channel = new RequestChannel(connection as unknown as BrokerConnection, {
    timeoutMs: TIMEOUT_MS,
    longestMs,
    read: (message) => {
      const text = (message as unknown as { text: string }).text;
      if (text === 'rubbish') throw new Error('unreadable');
      return text;
    },
  });
  return {
    channel,
    replies,
    answer: (reply: string | undefined, text: string) => listener(null, { subject: reply, text } as unknown as Msg),
    down: () => {
      connection.isUp = false;
      changes.emit('down');
    },
    closeClient: () => (isClosed = true),
    listeners: () => changes.listenerCount('down'),
  };
}

describe('a request', () => {
  beforeEach(
    () =>
      void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] }),
  );
  afterEach(() => void vi.useRealTimers());

  it('is settled once, by its own answer', async () => {
    const { channel, replies, answer } = fakeChannel();
    const outcomes: unknown[] = [];
    for (const name of ['a', 'b']) channel.send('s', name, {}, (outcome) => outcomes.push([name, outcome]));
    expect(channel.pending).toBe(2);
    await turn();
    answer(replies[1], 'to b');
    answer(replies[1], 'again');
    answer(replies[0], 'to a');
    expect([outcomes, channel.pending]).toEqual([
      [
        ['b', 'to b'],
        ['a', 'to a'],
      ],
      0,
    ]);
    channel.close();
  });

  it('is not settled by a late answer to a former request in the same place', async () => {
    const { channel, replies, answer } = fakeChannel();
    const outcomes: unknown[] = [];
    channel.send('s', '', {}, (outcome) => outcomes.push(outcome));
    await turn();
    vi.advanceTimersByTime(TIMEOUT_MS + 250);
    expect(outcomes).toEqual([{ kind: 'unknown', why: 'timeout' }]);
    channel.send('s', '', {}, (outcome) => outcomes.push(outcome));
    await turn();
    const placeOf = (reply: string | undefined) => reply?.split('.').at(-1)?.split('-')[0];
    expect(placeOf(replies[1])).toBe(placeOf(replies[0]));
    answer(replies[0], 'late');
    for (const token of ['', '-', '0-', '0-0', '99-1', 'x-y'])
      answer(`${replies[0]?.split('.').slice(0, -1).join('.')}.${token}`, '?');
    expect(outcomes.length).toBe(1);
    answer(replies[1], 'in time');
    expect(outcomes[1]).toBe('in time');
    channel.close();
  });

  it('to a broker that answers late waits longer the next time, up to `longestMs` if given', async () => {
    for (const [longestMs, expected] of [
      [undefined, { kind: 'unknown', why: 'timeout' }],
      [4_000, 'second'],
    ] as const) {
      const { channel, replies, answer } = fakeChannel(longestMs);
      const outcomes: unknown[] = [];
      for (const text of ['first', 'second']) {
        channel.send('s', '', {}, (outcome) => outcomes.push(outcome));
        await turn();
        vi.advanceTimersByTime(TIMEOUT_MS + 500);
        answer(replies.at(-1), text);
      }
      expect(outcomes).toEqual([{ kind: 'unknown', why: 'timeout' }, expected]);
      channel.close();
    }
  });

  it('is the only one in its place, whatever was answered while the place was free', async () => {
    const { channel, replies, answer } = fakeChannel();
    const outcomes: unknown[] = [];
    channel.send('s', '', {}, (outcome) => outcomes.push(outcome));
    await turn();
    answer(replies[0], 'to the first');
    for (const token of ['0-', '0-0']) answer(`${replies[0]?.split('.').slice(0, -1).join('.')}.${token}`, '?');
    for (const body of ['a', 'b']) channel.send('s', body, {}, (outcome) => outcomes.push(outcome));
    expect(channel.pending).toBe(2);
    await turn();
    for (const [i, text] of ['to a', 'to b'].entries()) answer(replies[i + 1], text);
    expect(outcomes).toEqual(['to the first', 'to a', 'to b']);
    channel.close();
  });

  it('is settled in the order of sending, even when places were reused', async () => {
    const { channel, replies, answer } = fakeChannel();
    const outcomes: string[] = [];
    const send = (name: string) =>
      channel.send('s', '', {}, (outcome) => outcomes.push(typeof outcome === 'string' ? outcome : name));
    for (const name of ['first', 'second', 'third']) send(name);
    await turn();
    answer(replies[0], 'answered');
    answer(replies[2], 'answered');
    send('fourth');
    send('fifth');
    await turn();
    vi.advanceTimersByTime(TIMEOUT_MS + 250);
    expect(outcomes).toEqual(['answered', 'answered', 'second', 'fourth', 'fifth']);
    expect(channel.pending).toBe(0);
    channel.close();
  });

  it('whose answer cannot be read is unknown, as if no answer had come', async () => {
    const { channel, replies, answer } = fakeChannel();
    const outcomes: unknown[] = [];
    channel.send('s', '', {}, (outcome) => outcomes.push(outcome));
    await turn();
    expect(() => answer(replies[0], 'rubbish')).not.toThrow();
    vi.advanceTimersByTime(TIMEOUT_MS + 250);
    expect(outcomes).toEqual([{ kind: 'unknown', why: 'timeout' }]);
    channel.close();
  });

  it('whose callback throws does not affect the others, and the error becomes a rejection', async () => {
    const { channel, replies, answer } = fakeChannel();
    const outcomes: string[] = [];
    const rejections: unknown[] = [];
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (error) => rejections.push(error));
    const problem = new Error('broken');
    for (const name of ['a', 'b', 'c']) {
      channel.send('s', '', {}, () => {
        outcomes.push(name);
        if (name !== 'b') throw problem;
      });
    }
    await turn();
    expect(() => answer(replies[0], 'yes')).not.toThrow();
    vi.advanceTimersByTime(TIMEOUT_MS + 250);
    await turn();
    process.removeAllListeners('unhandledRejection');
    for (const listener of others) process.on('unhandledRejection', listener);
    expect([outcomes, rejections, channel.pending]).toEqual([['a', 'b', 'c'], [problem, problem], 0]);
    channel.close();
  });

  it('is settled once even when another callback closes the channel or sends the next request', async () => {
    const { channel, down } = fakeChannel();
    const outcomes: string[] = [];
    channel.send('s', '', {}, () => {
      outcomes.push('first');
      // Into the place that has just become free, on a connection that is down.
      channel.send('s', '', {}, (outcome) => outcomes.push(JSON.stringify(outcome)));
      channel.close();
    });
    channel.send('s', '', {}, () => outcomes.push('second'));
    await turn();
    down();
    expect(outcomes).toEqual(['first', '{"kind":"unsent","why":"disconnected"}', 'second']);
    expect(channel.pending).toBe(0);
  });

  it('to a closed channel is unsent at once: otherwise it would wait for ever', async () => {
    const { channel, replies, listeners } = fakeChannel();
    channel.close();
    const outcomes: unknown[] = [];
    channel.send('s', '', {}, (outcome) => outcomes.push(outcome));
    expect(outcomes).toEqual([{ kind: 'unsent', why: 'disconnected' }]);
    await turn();
    expect([replies, listeners(), vi.getTimerCount()]).toEqual([[], 0, 0]);
  });

  it('that was settled as unknown before it was written is not written any more', async () => {
    const { channel, replies, down } = fakeChannel();
    const outcomes: unknown[] = [];
    channel.send('s', '', {}, (outcome) => outcomes.push(outcome));
    down();
    await turn();
    expect([outcomes, replies]).toEqual([[{ kind: 'unknown', why: 'disconnected' }], []]);
    channel.close();
  });

  it('to a client that was closed meanwhile is unsent', async () => {
    const { channel, closeClient } = fakeChannel();
    const outcomes: unknown[] = [];
    channel.send('s', '', {}, (outcome) => outcomes.push(outcome));
    closeClient();
    await turn();
    expect(outcomes).toEqual([{ kind: 'unsent', why: 'disconnected' }]);
    channel.close();
  });

  it('leaves no more free places than the limit, however many requests there were', async () => {
    const { channel, replies, answer } = fakeChannel();
    for (let i = 0; i < 5_000; i++) channel.send('s', '', {}, () => {});
    await turn();
    for (const reply of replies.slice(1)) answer(reply, 'yes');
    vi.advanceTimersByTime(250);
    expect(channel.pending).toBe(1);
    answer(replies[0], 'yes');
    vi.advanceTimersByTime(250);
    expect((channel as unknown as { places: unknown[] }).places.length).toBe(1_024);
    const outcomes: unknown[] = [];
    for (let i = 0; i < 2_000; i++) channel.send('s', '', {}, (outcome) => outcomes.push(outcome));
    await turn();
    for (const reply of replies.slice(0, 5_000)) answer(reply, 'late');
    expect(outcomes).toEqual([]);
    for (const reply of replies.slice(5_000)) answer(reply, 'yes');
    expect([outcomes.length, channel.pending]).toEqual([2_000, 0]);
    channel.close();
  });
});

it('with a subject longer than the server accepts is unsendable, and does not cost the connection: everything in flight would become unclear', async () => {
  await using made = await connectedBroker();
  const { nc } = made.connection;
  const downs: string[] = [];
  made.connection.onDown(() => downs.push('down'));
  nc.subscribe('long.>', { callback: (_error, message) => void message.respond('yes') });
  const channel = new RequestChannel(made.connection, {
    timeoutMs: 2_000,
    read: () => ({ kind: 'answered' }) as const,
  });
  const send = (subject: string) =>
    new Promise<string>((resolve) => {
      channel.send(subject, 'x', { name: 'value' }, ({ kind }) => resolve(kind));
    });
  const lengths = Array.from({ length: 60 }, (_value, i) => 3_980 + 2 * i);
  const kinds = await Promise.all(lengths.map((length) => send(`long.${'x'.repeat(length)}`)));
  expect(kinds.indexOf('unsendable')).toBeGreaterThan(10);
  expect(kinds.lastIndexOf('answered') + 1).toBe(kinds.indexOf('unsendable'));
  expect(new Set(kinds)).toEqual(new Set(['answered', 'unsendable']));
  expect(await send(`long.${'ä'.repeat(2_040)}`)).toBe('unsendable');
  expect(await send(`long.${'ä'.repeat(1_990)}`)).toBe('answered');
  expect(downs).toEqual([]);
  channel.close();
});

it('a request that becomes unknown when the connection is cut is neither sent twice nor after the reconnect', async () => {
  await using made = await connectedBroker();
  await using proxy = await startFaultProxy(made.broker.port);
  const connection = await BrokerConnection.open({ url: proxy.url, name: 'cut', log: silentLogger });
  const heard = new Map<string, number>();
  made.connection.nc.subscribe('cut.>', {
    callback: (_error, message) => {
      heard.set(message.subject, (heard.get(message.subject) ?? 0) + 1);
      message.respond('yes');
    },
  });
  await made.connection.nc.flush();
  const channel = new RequestChannel(connection, { timeoutMs: 2_000, read: () => ({ kind: 'answered' }) as const });
  const outcomes = new Map<string, string>();
  let sent = 0;
  const send = (): string => {
    const subject = `cut.${sent++}`;
    channel.send(subject, 'x'.repeat(500), {}, ({ kind }) => outcomes.set(subject, kind));
    return subject;
  };
  for (let cuts = 0; cuts < 3; cuts++) {
    for (let i = 0; i < 200; i++) {
      send();
      if (i === 100) proxy.cutAll();
      if (i % 20 === 0) await turn();
    }
    await until('the connection is down or back', () => outcomes.size === sent);
    await until('it is up', () => connection.isUp);
  }
  const last = send();
  await until('the last one is answered', () => outcomes.get(last) === 'answered');
  expect([...heard.values()].every((times) => times === 1)).toBe(true);
  for (const [subject, kind] of outcomes) {
    if (kind === 'answered') expect(heard.get(subject)).toBe(1);
    if (kind === 'unsent') expect(heard.has(subject)).toBe(false);
  }
  expect(new Set(outcomes.values())).toContain('unsent');
  channel.close();
  await connection.close();
});
