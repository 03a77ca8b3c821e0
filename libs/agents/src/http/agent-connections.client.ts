import type { Socket } from 'node:net';
import { Agent, buildConnector } from 'undici';
import { NotConnectedError } from './agent-failures.js';
import { InterimResponses } from './interim-responses.js';

const CONNECT_TIMEOUT_MS = 10_000;
/**
 * Shorter than the idle timeouts of common servers and proxies, so that a request rarely meets a closing connection.
 */
const KEEP_ALIVE_MS = 4_000;
/**
 * Limit for all headers of an answer together. Cookies, security policies and proxy traces reach 16 KiB, the usual
 * limit.
 */
export const MAX_HEADER_BYTES = 64 * 1024;

/** HTTP connections from one worker to its agents: one per turn that may run at once, kept alive between turns. */
export class AgentConnections {
  readonly dispatcher: Agent;

  constructor(maxPerAgent: number) {
    this.dispatcher = new Agent({
      connections: maxPerAgent,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      connect: connectWithin(CONNECT_TIMEOUT_MS),
      // A turn has its own time limit. These timeouts would cut an agent that is only thinking.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  close(): Promise<void> {
    return this.dispatcher.destroy();
  }
}

function connectWithin(timeout: number): buildConnector.connector {
  const connect = buildConnector({ timeout });
  return (options, callback) =>
    connect(options, (error, socket) => {
      // Mark connection errors here. Later, the same codes may also mean that a request was cut. (`callback` gets one
      // argument then.)
      if (!socket) return callback(new NotConnectedError(error), null);
      passOverInterim(socket);
      callback(null, socket);
    });
}

/** Filters interim responses out of the socket. undici writes a request whole and takes input with `read()`. */
function passOverInterim(socket: Socket): void {
  const interim = new InterimResponses();
  const read = socket.read.bind(socket);
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.read = (size?: number): Buffer | null => {
    for (;;) {
      const piece = read(size) as Buffer | null;
      if (piece === null) return null;
      const rest = interim.pass(piece);
      if (rest !== undefined) return rest;
    }
  };
  socket.write = (...args: unknown[]): boolean => {
    interim.expect();
    return write(...args);
  };
}
