import { AsyncLocalStorage } from 'node:async_hooks';
import { ROOT_CONTEXT, context, trace, type Context, type ContextManager } from '@opentelemetry/api';
import { afterEach, describe, expect, it } from 'vitest';
import { asContext, readTraceContext, runInTrace } from './trace-context.js';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const spanId = '00f067aa0ba902b7';
const traceparent = `00-${traceId}-${spanId}-01`;

const read = (headers: Record<string, string>) => readTraceContext((name) => headers[name]);

describe('readTraceContext', () => {
  it.each<[string, Record<string, string>, object | undefined]>([
    ['both', { traceparent, tracestate: 'a=1,b=2' }, { traceparent, tracestate: 'a=1,b=2' }],
    ['no tracestate', { traceparent }, { traceparent }],
    ['not sampled', { traceparent: `00-${traceId}-${spanId}-00` }, { traceparent: `00-${traceId}-${spanId}-00` }],
    ['tracestate alone', { tracestate: 'a=1' }, undefined],
    ['nothing', {}, undefined],
    [
      '512 characters',
      { traceparent, tracestate: `a=${'x'.repeat(510)}` },
      { traceparent, tracestate: `a=${'x'.repeat(510)}` },
    ],
    ['513 characters', { traceparent, tracestate: `a=${'x'.repeat(511)}` }, { traceparent }],
    ['empty tracestate', { traceparent, tracestate: '' }, { traceparent }],
    ['line break', { traceparent, tracestate: 'a=1\r\nX-Evil: 1' }, { traceparent }],
    ['not ASCII', { traceparent, tracestate: 'a=ü' }, { traceparent }],
  ])('%s', (_title, headers, expected) => expect(read(headers)).toEqual(expected));

  it.each([
    '',
    'nonsense',
    `01-${traceId}-${spanId}-01`,
    `ff-${traceId}-${spanId}-01`,
    `00-${'0'.repeat(32)}-${spanId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
    `00-${traceId.slice(1)}-${spanId}-01`,
    `00-${traceId}-${spanId}0-01`,
    `00-${traceId}-${spanId}-1`,
    `00-${traceId}-${spanId}-0g`,
    `${traceparent}-extra`,
    `${traceparent}\n`,
    ` ${traceparent}`,
    `${traceparent},${traceparent}`,
  ])('malformed %j counts as none', (value) => expect(read({ traceparent: value, tracestate: 'a=1' })).toBeUndefined());
});

describe('asContext', () => {
  it('holds the caller’s span as a remote one', () => {
    const span = trace.getSpanContext(asContext({ traceparent, tracestate: 'a=1' }));
    expect(span).toMatchObject({ traceId, spanId, traceFlags: 1, isRemote: true });
    expect(span?.traceState?.serialize()).toBe('a=1');
  });

  it('is the root for a hand-made trace that is malformed', () => {
    expect(asContext({ traceparent: 'x' })).toBe(ROOT_CONTEXT);
  });
});

describe('runInTrace', () => {
  afterEach(() => context.disable());
  const currentTraceId = () => trace.getSpanContext(context.active())?.traceId;

  it('just runs without a context manager or without a trace', () => {
    expect(runInTrace({ traceparent }, () => currentTraceId() ?? 'none')).toBe('none');
    expect(runInTrace(undefined, () => 7)).toBe(7);
  });

  it('the caller’s trace is current as soon as a context manager is registered, also after an await', async () => {
    const storage = new AsyncLocalStorage<Context>();
    const manager: ContextManager = {
      active: () => storage.getStore() ?? ROOT_CONTEXT,
      with: (active, fn, thisArg, ...args) => storage.run(active, () => fn.apply(thisArg, args)),
      bind: (_active, target) => target,
      enable: () => manager,
      disable: () => manager,
    };
    context.setGlobalContextManager(manager);
    const seen = await runInTrace({ traceparent }, async () => {
      await Promise.resolve();
      return currentTraceId();
    });
    expect(seen).toBe(traceId);
    expect(currentTraceId()).toBeUndefined();
  });
});
