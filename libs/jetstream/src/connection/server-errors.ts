/** Error codes of JetStream that our protocol reacts to; each was seen on a real server (test/e2e/broker-facts). */
export const SERVER_ERROR = {
  /** The last sequence of the subject is not the expected one. Does not mean "lost": our own write may be the last one. */
  wrongLastSequence: 10071,
  /** Another write on the subject is in flight: neither success nor failure, try again. */
  writeInFlight: 10164,
  /** The first publish of this message id is still being replicated: try again. */
  duplicateInProcess: 10158,
  streamNotFound: 10059,
  /** The cluster, or the group of a stream, elects a leader or has too few nodes: try again. */
  noLeader: 10008,
} as const;
