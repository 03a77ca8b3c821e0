import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';

/** The end of a connection is read from it after what was sent before, in a turn of the event loop of its own. */
const TURNS = 2;

/**
 * Whether the caller has hung up already. A guard that was stopped for a while finds requests whose callers have given up:
 * a task that it gave one of them would be nobody's until its time is over.
 */
export async function hasHungUp({ raw }: Pick<FastifyRequest, 'raw'>): Promise<boolean> {
  for (let turn = 0; turn < TURNS; turn++) await nextTurn();
  return raw.socket.readableEnded || raw.socket.destroyed;
}
