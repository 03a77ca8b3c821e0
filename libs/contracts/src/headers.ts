/** Header names on the wire. NATS headers are case-sensitive: they are spelled only here. */
export const HEADER = {
  messageId: 'Nats-Msg-Id',
  expectedLastSubjectSequence: 'Nats-Expected-Last-Subject-Sequence',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
} as const;
