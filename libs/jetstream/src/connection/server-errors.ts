/** Error codes of JetStream that our protocol answers to; each was met on a real server (test/e2e/broker-facts). */
export const SERVER_ERROR = {
  /** The expected last sequence of the subject is another one. Does not mean "lost": it may be one's own write. */
  wrongLastSequence: 10071,
  /** Another write on the subject is in flight: neither success nor failure, try again. */
  writeInFlight: 10164,
  /** The first publish of this message id is still being replicated: try again. */
  duplicateInProcess: 10158,
  streamNotFound: 10059,
  /** The cluster, or the group of a stream, elects a leader or has too few nodes: try again. */
  noLeader: 10008,
} as const;
