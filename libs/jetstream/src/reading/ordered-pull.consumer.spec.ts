import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DeliveredMessage } from './delivered-message.client.js';
import { FakeShard } from './fake-shard.fixture.js';
import { OrderedPull, type OrderedPullOptions } from './ordered-pull.consumer.js';

const MAX = 48;
const MAX_BYTES = 1_000_000;
const HEARTBEAT_MS = 1_500;

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

function readOf(shard: FakeShard, options: Partial<OrderedPullOptions> = {}) {
  const { name } = shard.makeNow(1);
  const read: DeliveredMessage[] = [];
  const ends: string[] = [];
  const pull = new OrderedPull(shard.connection, {
    ...{
      stream: 'S',
      consumer: name,
      maxMessages: MAX,
      maxBytes: MAX_BYTES,
      expiresMs: 10_000,
      heartbeatMs: HEARTBEAT_MS,
    },
    onMessage: (message) => void read.push(message),
    ...options,
  });
  void pull.ended.then((reason) => ends.push(reason));
  return { pull, read, ends };
}

const beat = (): void => void vi.advanceTimersByTime(HEARTBEAT_MS);

it('asks again when half is left, never for more than its limit, whichever requests expire (L5)', async () => {
  const command = fc.oneof(
    { weight: 40, arbitrary: fc.constant('deliver') },
    { weight: 1, arbitrary: fc.constant('lose') },
    { weight: 6, arbitrary: fc.constantFrom('heartbeat', 'expire', 'beat') },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 300, size: 'max' }), async (commands) => {
      const shard = new FakeShard();
      shard.stored = 1_000;
      const { pull, read, ends } = readOf(shard);
      const expected: number[] = [];
      let next = 1;
      let isLost = false;
      let isHeard = false;
      let silent = 0;
      let end: string | undefined;
      for (const what of commands) {
        if (end !== undefined) break;
        if (what === 'deliver') {
          shard.deliver();
          if (isLost) end = 'a message is missing';
          else expected.push(next);
          next++;
        } else if (what === 'lose') {
          shard.deliver({ isLost: true });
          isLost = true;
          next++;
        } else if (what === 'heartbeat') {
          shard.heartbeat();
          if (isLost) end = 'a message is missing';
        } else if (what === 'expire') shard.expire();
        else {
          beat();
          silent = isHeard ? 0 : silent + 1;
          isHeard = false;
          if (silent === 2) end = 'it is silent';
        }
        if (what === 'deliver' || what === 'heartbeat' || what === 'expire') isHeard = true;
        if (isLost || end !== undefined) continue;
        expect(shard.asked).toBeGreaterThan(MAX * 0.5);
        expect(shard.asked).toBeLessThanOrEqual(MAX);
        // Each message once and in order, up to the first gap (L2).
        expect(read.length).toBe(expected.length);
      }
      await turn();
      expect(read.map(({ seq }) => seq)).toEqual(expected);
      expect(ends).toEqual(end === undefined ? [] : [end]);
      expect(shard.subscriptions.size).toBe(end === undefined ? 1 : 0);
      pull.stop();
      expect(shard.subscriptions.size).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
    }),
    { numRuns: 300 },
  );
});

describe('ends', () => {
  it.each([
    [409, 'Consumer Deleted'],
    [409, 'Leadership Change'],
    [409, 'Server Shutdown'],
    [409, 'Exceeded MaxWaiting'],
    [409, 'Exceeded MaxRequestBatch of 10'],
    [409, 'Consumer is push based'],
    [400, 'Bad Request - heartbeat value too large'],
    [404, 'No Messages'],
    [408, 'Interest Expired'],
    [503, 'No Responders'],
  ])('at once at the status %i %s, and accepts nothing after it', async (code, description) => {
    const shard = new FakeShard();
    shard.stored = 1;
    const { read, ends } = readOf(shard);
    shard.status(code, description);
    shard.deliver();
    await turn();
    expect([read, ends]).toEqual([[], [`${code} ${description}`]]);
  });

  it('at the loss of its consumer, even when the server says how much of the request is left', async () => {
    const shard = new FakeShard();
    const { ends } = readOf(shard);
    shard.status(409, 'Consumer Deleted', { 'Nats-Pending-Messages': '48' });
    await turn();
    expect(ends).toEqual(['409 Consumer Deleted']);
  });

  it('after two beats of silence, not earlier, and not while it has no request', async () => {
    const shard = new FakeShard();
    const { ends } = readOf(shard);
    beat();
    shard.heartbeat();
    beat();
    beat();
    await turn();
    expect(ends).toEqual([]);
    beat();
    await turn();
    expect(ends).toEqual(['it is silent']);

    // Beats that are shorter than the pause in which it has no request.
    const resting = readOf(shard, { hasRoom: () => false, heartbeatMs: 20 });
    for (let beats = 0; beats < 2; beats++) vi.advanceTimersByTime(20);
    expect(shard.asked).toBe(0);
    await turn();
    expect(resting.ends).toEqual([]);
    resting.pull.stop();
  });

  it('when its callback throws: if thrown on, the error would end the reading of the whole connection', async () => {
    const shard = new FakeShard();
    shard.stored = 2;
    const { ends } = readOf(shard, {
      onMessage: () => {
        throw new Error('broken');
      },
    });
    expect(() => shard.deliver()).not.toThrow();
    await turn();
    expect(ends).toEqual(['Error: broken']);
  });

  it('when it may not subscribe or the client accepts no request any more, and never throws into the client', async () => {
    const shard = new FakeShard();
    shard.stored = 20;
    const denied = readOf(shard);
    const [callback] = shard.subscriptions.values();
    callback?.(new Error('permissions violation'), undefined as never);
    shard.connection.nc.publish = () => {
      throw new Error('connection draining');
    };
    const draining = readOf(shard);
    await turn();
    expect([denied.ends, draining.ends]).toEqual([['permissions violation'], ['Error: connection draining']]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

it('continues when only a request is over, and asks for the rest of it', async () => {
  const shard = new FakeShard();
  shard.stored = 5;
  const { pull, read, ends } = readOf(shard);
  for (const [code, description] of [
    [408, 'Request Timeout'],
    [409, 'Batch Completed'],
    [409, 'Message Size Exceeds MaxBytes'],
  ] as const) {
    shard.status(code, description, { 'Nats-Pending-Messages': `${shard.asked}` });
    expect(shard.consumer?.requests.pop()?.left).toBe(MAX);
  }
  shard.deliver();
  await turn();
  expect([read.map(({ seq }) => seq), ends]).toEqual([[1], []]);
  pull.stop();
});
