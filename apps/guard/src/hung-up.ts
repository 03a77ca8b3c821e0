import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';

/** Node reads the end of a connection after the data before it, in a later turn of the event loop. */
const TURNS = 2;

/**
 * Whether the caller has hung up already. A guard that was paused finds requests whose callers have given up: a task that it
 * gave to one of them would block until its time is over, and no worker would work on it.
 */
export async function hasHungUp({ raw }: Pick<FastifyRequest, 'raw'>): Promise<boolean> {
  for (let turn = 0; turn < TURNS; turn++) await nextTurn();
  return raw.socket.readableEnded || raw.socket.destroyed;
}
