import { ROOT_CONTEXT, context, createTraceState, trace, type Context } from '@opentelemetry/api';

/**
 * W3C trace context without an SDK. This version creates no spans. The caller's header passes unchanged through the
 * broker to the agent, so the caller's trace continues there. A handler with an SDK finds the caller's span as the
 * current one, because `runInTrace` sets it through the API that every SDK uses.
 */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** Only version 00: fields of other versions cannot be checked here. All-zero ids mean "no trace". */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

/** The standard asks every hop to carry at least this much. A longer value may be dropped as a whole. */
const MAX_TRACESTATE_CHARS = 512;

/** Reads the two headers. A malformed one is ignored: bad tracing data never costs a message. */
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

/** Runs `fn` with the caller's span as the current one. Without a registered context manager it only runs `fn`. */
export function runInTrace<T>(traceContext: TraceContext | undefined, fn: () => T): T {
  return traceContext === undefined ? fn() : context.with(asContext(traceContext), fn);
}

/** A control character could forge a second header in a later request. */
function isTracestate(value: string | undefined): value is string {
  return value !== undefined && value.length <= MAX_TRACESTATE_CHARS && /^[\x20-\x7e]+$/.test(value);
}
