import { AsyncLocalStorage } from 'node:async_hooks';
import { ROOT_CONTEXT, context, trace, type Context, type ContextManager } from '@opentelemetry/api';
import { afterEach, describe, expect, it } from 'vitest';
import { AgentFailedError, currentTurn, type Turn, type TurnHandler } from '#agents';
import {
  BatchRefusedError,
  JsonText,
  jsonText,
  LanekeeperError,
  QUEUE_DEFAULTS,
  RetryLaterError,
  TerminalError,
} from '#contracts';
import type { TurnPolicy, TurnWork } from '#lanes';
import { AgentRunner, type BoundAgent } from './agent-runner.js';

const key = { shard: 0, agentToken: 'main', sessionToken: 'telegram=3A42' };
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
const other = `00-${traceId}-1111111111111111-01`;

type Item = TurnWork['batch']['items'][number];

function item(seq: number, more: Partial<Item> = {}): Item {
  const message = { v: 1 as const, kind: 'message' as const, id: `m${seq}`, text: `t${seq}`, replyTo: 'https://a.b/' };
  return {
    seq,
    id: message.id,
    storedAtMs: 1,
    bytes: 1,
    queueing: QUEUE_DEFAULTS,
    content: { ok: true, message },
    route: '',
    ...more,
  };
}

const policy: TurnPolicy = {
  turnTimeoutMs: 1_000,
  abortGraceMs: 10,
  maxAttempts: 3,
  backoffInitialMs: 1,
  backoffMaxMs: 1,
  retryLaterMaxMs: 1,
  laneBuffer: 512,
};

function makeWork(more: Partial<TurnWork> = {}): TurnWork {
  return {
    key,
    batch: {
      runId: 'r',
      attempt: 2,
      crashes: 0,
      failures: 0,
      isQuarantined: false,
      isCondemned: false,
      items: [item(1)],
      isConcurrent: false,
      lowestSeq: 1,
      summarized: 0,
    },
    state: undefined,
    deadline: 5_000,
    signal: new AbortController().signal,
    onOver: () => {},
    ...more,
  };
}

const bind = (handler: TurnHandler, more: Partial<BoundAgent> = {}): ReadonlyMap<string, BoundAgent> =>
  new Map([['main', { handler, policy, queueing: () => QUEUE_DEFAULTS, isOutside: false, ...more }]]);

const run = (handler: TurnHandler, items: Item[] = [item(1)], state?: unknown, more: Partial<TurnWork> = {}) =>
  new AgentRunner(bind(handler)).run(
    makeWork({
      batch: {
        runId: 'r',
        attempt: 2,
        crashes: 0,
        failures: 0,
        isQuarantined: false,
        isCondemned: false,
        items,
        isConcurrent: false,
        lowestSeq: 1,
        summarized: 0,
      },
      state: JsonText.of(state),
      ...more,
    }),
  );

afterEach(() => context.disable());

describe('AgentRunner', () => {
  it('gives the handler the turn, also as the current turn, and takes its results', async () => {
    const seen: unknown[] = [];
    const outcome = await run(
      async (turn) => {
        await Promise.resolve();
        const { runId, attempt, agent, session, messages, signal } = turn;
        seen.push({ runId, attempt, agent, session, messages, isAborted: signal.aborted, state: turn.state.get() });
        seen.push(currentTurn() === turn);
        turn.reply('first');
        turn.state.set({ n: 2 });
        return 'second';
      },
      [item(3), item(5)],
      { n: 1 },
    );
    expect(seen).toEqual([
      {
        runId: 'r',
        attempt: 2,
        agent: 'main',
        session: 'telegram:42',
        messages: [
          { id: 'm3', seq: 3, text: 't3' },
          { id: 'm5', seq: 5, text: 't5' },
        ],
        isAborted: false,
        state: { n: 1 },
      },
      true,
    ]);
    expect(outcome).toEqual({
      kind: 'succeeded',
      replies: [
        { kind: 'reply', text: 'first' },
        { kind: 'reply', text: 'second' },
      ],
      state: { value: { n: 2 } },
    });
  });

  it('tells the agent where each message was said', async () => {
    const message = {
      ...{
        v: 1 as const,
        kind: 'message' as const,
        id: 'm1',
        data: jsonText({ a: 1 }),
        sentAt: '2026-01-05T12:00:00Z',
      },
      ...{ channel: 'telegram:-100', thread: 'telegram:-100:42', author: { id: 'u' } },
    };
    let seen: unknown;
    await run((turn) => void (seen = turn.messages), [item(1, { content: { ok: true, message } })]);
    const { v: _v, kind: _kind, ...told } = message;
    expect(seen).toEqual([{ ...told, data: { a: 1 }, seq: 1 }]);
  });

  it('tells the agent the number of a message, and which one came late', async () => {
    const numbered = (seq: number, sequence: number, more: Partial<Item> = {}) =>
      item(seq, {
        content: { ok: true, message: { v: 1, kind: 'message', id: `m${seq}`, sequence } },
        ...more,
      });
    let seen: unknown;
    await run((turn) => void (seen = turn.messages), [numbered(1, 4), numbered(2, 0, { isLate: true }), item(3)]);
    expect(seen).toEqual([
      { id: 'm1', seq: 1, sequence: 4 },
      { id: 'm2', seq: 2, sequence: 0, late: true },
      { id: 'm3', seq: 3, text: 't3' },
    ]);
  });

  it('L6 a message that cannot be prepared ends alone, and the handler is not blamed', async () => {
    const message = Object.defineProperty({ v: 1 as const, kind: 'message' as const, id: 'm1' }, 'text', {
      get: () => {
        throw new RangeError('no room');
      },
    });
    const handler = () => expect.unreachable('its handler was called');
    expect(await run(handler, [item(1, { content: { ok: true, message } })])).toEqual({
      // In a batch the other messages run without it. Alone it is dead.
      ...{ kind: 'failed', next: 'split' },
      error: { name: 'turn_not_prepared', message: 'its messages cannot be put before the agent: no room' },
    });
  });

  it('passes a state merge to the commit', async () => {
    const merge = (current: unknown) => [...((current ?? []) as number[]), 3];
    const outcome = await run((turn) => turn.state.merge(merge), [item(1)], [1]);
    if (outcome.kind !== 'succeeded' || outcome.state === undefined || !('merge' in outcome.state)) throw outcome;
    expect(outcome.state.merge([1, 2])).toEqual([1, 2, 3]);
  });

  it.each<[string, TurnHandler]>([
    ['that it sets', (turn) => turn.state.set(1)],
    ['in its answer', () => ({ state: 1 })],
  ])(
    'L6 a turn beside others that wants to replace the state %s ends at once, and is not tried again',
    async (_t, h) => {
      const batch = { ...makeWork().batch, isConcurrent: true };
      expect(await run(h, [item(1)], undefined, { batch })).toMatchObject({
        ...{ kind: 'failed', next: 'never' },
        error: { name: 'state_read_only', message: expect.stringContaining('other than concurrent') },
      });
    },
  );

  it('sums up summarized messages of a full queue, and still passes them on', async () => {
    const order = { v: 1 as const, kind: 'control' as const, id: 'c', op: 'cancel' as const };
    const items = [
      item(1),
      item(2, { content: { ok: true, message: { ...order, target: { what: 'session' } } } }),
      item(3),
      item(4),
    ];
    const batch = { ...makeWork().batch, items, summarized: 3 };
    let seen: unknown;
    await run((turn) => void (seen = [turn.summary, turn.messages.map(({ seq }) => seq)]), items, undefined, { batch });
    expect(seen).toEqual([{ count: 2, lines: ['t1', 't3'] }, [1, 3, 4]]);
    await run((turn) => void (seen = turn.summary), items);
    expect(seen).toBeUndefined();
  });

  it.each<[string, () => unknown, { name: string; message: string }]>([
    ['an error', () => new TypeError('no'), { name: 'TypeError', message: 'no' }],
    ['an error of ours, by its code', () => new LanekeeperError('later', 'no'), { name: 'later', message: 'no' }],
    ['a text', () => 'no', { name: 'Error', message: 'no' }],
    ['nothing', () => undefined, { name: 'Error', message: 'undefined' }],
    ['null', () => null, { name: 'Error', message: 'null' }],
    ['a symbol', () => Symbol('no'), { name: 'Error', message: 'Symbol(no)' }],
    ['a long error', () => new Error('x'.repeat(9_000)), { name: 'Error', message: 'x'.repeat(2_000) }],
    [
      'a long error of ours',
      () => new LanekeeperError('c', 'x'.repeat(9_000)),
      { name: 'c', message: 'x'.repeat(2_000) },
    ],
    ['a long text', () => 'x'.repeat(9_000), { name: 'Error', message: 'x'.repeat(2_000) }],
  ])('L6 %s that is thrown, at once or later, is the failure of its turn', async (_title, make, error) => {
    const later: TurnHandler = async () => {
      await Promise.resolve();
      throw make();
    };
    expect(await run(later)).toEqual({ kind: 'failed', error });
    expect(
      await run(() => {
        throw make();
      }),
    ).toEqual({ kind: 'failed', error });
  });

  it('L6 an answer that breaks the contract is a failure without a retry: the work is done', async () => {
    expect(await run(() => 5)).toMatchObject({ kind: 'failed', error: { name: 'bad_answer' }, next: 'never' });
  });

  it('a failed attempt without a requested wait is retried with backoff alone', async () => {
    const outcome = await run(() => Promise.reject(new AgentFailedError(500, 0, { status: 500 })));
    expect(outcome).toMatchObject({ kind: 'failed', error: { status: 500 } });
    expect(outcome).not.toHaveProperty('next');
  });

  it('L6 an agent without handler is a failure', async () => {
    expect(await new AgentRunner(new Map()).run(makeWork())).toMatchObject({
      kind: 'failed',
      error: { name: 'no_handler' },
    });
  });

  it.each<[string, () => Error, object]>([
    ['a terminal error: never', () => new TerminalError('no'), { error: { name: 'terminal' }, next: 'never' }],
    [
      'a refused batch: in parts',
      () => new BatchRefusedError('no'),
      { error: { name: 'batch_refused' }, next: 'split' },
    ],
    [
      'an end that is not known: said so',
      () => new LanekeeperError('gone', 'no', { finding: { isUnclear: true } }),
      { error: { name: 'gone' }, isUnclear: true },
    ],
    [
      'a terminal error with a code',
      () => new TerminalError('no', { code: 'refused' }),
      { error: { name: 'refused' }, next: 'never' },
    ],
    [
      'a request for later',
      () => new RetryLaterError({ retryAfterMs: 70 }),
      { error: { name: 'retry_later' }, next: { laterMs: 70 } },
    ],
    [
      'a request for a negative time',
      () => new RetryLaterError({ retryAfterMs: -5, message: 'busy' }),
      { error: { name: 'retry_later', message: 'busy' }, next: { laterMs: 0 } },
    ],
    [
      'a status that asks for a time and was an attempt',
      () => new AgentFailedError(500, 70, { status: 500, excerpt: 'why' }),
      { error: { name: 'agent_failed', status: 500, excerpt: 'why' }, next: { notWithinMs: 70 } },
    ],
    [
      'an error that knows what the agent said',
      () => new TerminalError('no', { finding: { status: 400, excerpt: 'why' } }),
      { error: { name: 'terminal', message: 'no', status: 400, excerpt: 'why' }, next: 'never' },
    ],
  ])('passes on what an error asks for: %s', async (_title, make, expected) => {
    expect(await run(() => Promise.reject(make()))).toMatchObject({ kind: 'failed', ...expected });
  });

  it('asks for no special treatment after any other error', async () => {
    const outcome = await run(() => Promise.reject(Object.assign(new Error('no'), { next: 'never', retryAfterMs: 5 })));
    expect(outcome).toEqual({ kind: 'failed', error: { name: 'Error', message: 'no' } });
  });

  it('L1 every call of the turn throws once its time is over', async () => {
    let over = (): void => {};
    const gate = Promise.withResolvers<void>();
    const seen: unknown[] = [];
    const outcome = run(
      async (turn) => {
        turn.reply('in time');
        seen.push(turn.deadline.getTime());
        await gate.promise;
        for (const call of [() => turn.reply('late'), () => turn.state.get(), () => turn.state.set(1)]) {
          try {
            seen.push(call());
          } catch (error) {
            seen.push((error as LanekeeperError).code);
          }
        }
        return 'late too';
      },
      [item(1)],
      undefined,
      { onOver: (listener) => void (over = listener) },
    );
    over();
    gate.resolve();
    expect(await outcome).toMatchObject({ kind: 'failed', error: { name: 'turn_over' } });
    expect(seen).toEqual([5_000, 'turn_over', 'turn_over', 'turn_over']);
  });

  it('creates a signal only when the handler asks for one', async () => {
    let asked = 0;
    const { signal } = new AbortController();
    const work = {
      get signal() {
        asked++;
        return signal;
      },
    };
    const withSignal = Object.defineProperties(makeWork(), Object.getOwnPropertyDescriptors(work));
    await new AgentRunner(bind(() => 'x')).run(withSignal);
    expect(asked).toBe(0);
    await new AgentRunner(bind((turn) => expect(turn.signal).toBe(signal))).run(withSignal);
    expect(asked).toBe(1);
  });

  it.each<[string, TurnHandler]>([
    ['ended', () => {}],
    ['failed', () => Promise.reject(new Error('no'))],
  ])('L1 a turn that %s is dead', async (_title, handler) => {
    let kept: Turn | undefined;
    await run((turn) => {
      kept = turn;
      return handler(turn);
    });
    expect(() => kept?.reply('late')).toThrow('is over');
  });

  it('passes on the trace of the latest message only', async () => {
    const traceOf = async (items: Item[]) => {
      let seen: unknown = 'not run';
      await run((turn) => void (seen = turn.trace), items);
      return seen;
    };
    const latest = item(2, { traceparent, tracestate: 'a=1' });
    expect(await traceOf([item(1, { traceparent: other }), latest])).toEqual({ traceparent, tracestate: 'a=1' });
    expect(await traceOf([item(2, { traceparent })])).toEqual({ traceparent });
    expect(await traceOf([item(1, { traceparent: other }), item(2)])).toBeUndefined();
  });

  it('runs the handler inside of that trace', async () => {
    const storage = new AsyncLocalStorage<Context>();
    const manager: ContextManager = {
      active: () => storage.getStore() ?? ROOT_CONTEXT,
      with: (given, fn, thisArg, ...args) => storage.run(given, () => fn.call(thisArg as never, ...args)),
      bind: (_context, target) => target,
      enable: () => manager,
      disable: () => manager,
    };
    context.setGlobalContextManager(manager);
    let seen: string | undefined;
    await run(async () => {
      await Promise.resolve();
      seen = trace.getSpanContext(context.active())?.spanId;
    }, [item(1, { traceparent })]);
    expect(seen).toBe('00f067aa0ba902b7');
  });

  it('knows agents with a handler, their limits, and where they run', () => {
    const other = { ...policy, maxAttempts: 9 };
    const runner = new AgentRunner(
      new Map([
        ['main', { handler: () => {}, policy, queueing: () => QUEUE_DEFAULTS, isOutside: false }],
        ['far', { handler: () => {}, policy: other, queueing: () => QUEUE_DEFAULTS, isOutside: true }],
      ]),
    );
    const far = { ...key, agentToken: 'far' };
    const nobody = { ...key, agentToken: 'x' };
    expect([runner.knows(key), runner.knows(far), runner.knows(nobody)]).toEqual([true, true, false]);
    expect([runner.runsOutside(key), runner.runsOutside(far)]).toEqual([false, true]);
    expect([runner.policyOf(key), runner.policyOf(far)]).toEqual([policy, other]);
    expect(() => runner.policyOf(nobody)).toThrow('agent x has no handler');
  });
});
