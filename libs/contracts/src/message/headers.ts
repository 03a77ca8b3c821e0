/** Header names on the wire. NATS headers are case-sensitive, so they are spelled only here. */
export const HEADER = {
  messageId: 'Nats-Msg-Id',
  expectedLastSubjectSequence: 'Nats-Expected-Last-Subject-Sequence',
  /** How long the message is kept; `10s`. */
  ttl: 'Nats-TTL',
  /** The value `DEL` marks a removal for key-value clients. */
  keyOperation: 'KV-Operation',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
} as const;
