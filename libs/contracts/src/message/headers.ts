/** Header names on the wire. NATS headers are case-sensitive: they are spelled only here. */
export const HEADER = {
  messageId: 'Nats-Msg-Id',
  expectedLastSubjectSequence: 'Nats-Expected-Last-Subject-Sequence',
  /** How long the message is kept; `10s`. */
  ttl: 'Nats-TTL',
  /** What a key-value client reads as a removal: `DEL`. */
  keyOperation: 'KV-Operation',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
} as const;
