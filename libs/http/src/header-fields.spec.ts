import { describe, expect, it } from 'vitest';
import { acceptsJson, readTrace } from './header-fields.js';

it.each<[string | undefined, boolean]>([
  [undefined, true],
  ['', true],
  ['*/*', true],
  ['application/json', true],
  ['Application/JSON; charset=utf-8', true],
  ['text/html, application/*;q=0.5', true],
  ['application/problem+json', true],
  ['text/event-stream', false],
  ['text/html', false],
  ['application/jsonp', false],
  ['text/json', false],
  ['application/json;odata=verbose', true],
  ['text/html;p="a, application/json"', false],
  ['application/json;q=0', false],
])('Accept %j: %s', (accept, isAccepted) => expect(acceptsJson(accept)).toBe(isAccepted));

describe('readTrace', () => {
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

  it('reads the two headers, of several the first', () => {
    expect(readTrace({})).toBeUndefined();
    expect(readTrace({ traceparent })).toEqual({ traceparent });
    expect(readTrace({ traceparent: [traceparent, 'x'], tracestate: 'a=1' })).toEqual({
      traceparent,
      tracestate: 'a=1',
    });
  });
});
