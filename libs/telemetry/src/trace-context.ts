import { ROOT_CONTEXT, context, createTraceState, trace, type Context } from '@opentelemetry/api';

/**
 * W3C trace context without an SDK. This version makes no spans of its own: the caller's header passes verbatim through
 * the broker to the agent, so the caller's trace goes on there. A handler that brings an SDK along finds the caller's
 * span as the current one, since `runInTrace` sets it by the API that every SDK plugs into.
 */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** Version 00 alone: of another version we would pass on fields that we cannot check. All-zero ids mean "no trace". */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

/** What the standard asks every hop to carry at least; beyond it, it may be dropped whole. */
const MAX_TRACESTATE_CHARS = 512;

/** Reads the two headers. A malformed one counts as none: bad tracing never costs a message. */
export function readTraceContext(get: (name: string) => string | undefined): TraceContext | undefined {
  const traceparent = get('traceparent');
  if (traceparent === undefined || !TRACEPARENT.test(traceparent)) return undefined;
  const tracestate = get('tracestate');
  return isTracestate(tracestate) ? { traceparent, tracestate } : { traceparent };
}

/** The caller's span as a remote parent. */
export function asContext(traceContext: TraceContext): Context {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceContext.traceparent) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT;
  const { tracestate } = traceContext;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(tracestate === undefined ? {} : { traceState: createTraceState(tracestate) }),
  });
}

/** Runs `fn` with the caller's span as the current one. Without a registered context manager it just runs it. */
export function runInTrace<T>(traceContext: TraceContext | undefined, fn: () => T): T {
  return traceContext === undefined ? fn() : context.with(asContext(traceContext), fn);
}

/** A control character could forge a second header where it is sent on. */
function isTracestate(value: string | undefined): value is string {
  return value !== undefined && value.length <= MAX_TRACESTATE_CHARS && /^[\x20-\x7e]+$/.test(value);
}
