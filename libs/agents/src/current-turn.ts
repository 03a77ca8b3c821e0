import { AsyncLocalStorage } from 'node:async_hooks';
import type { Turn } from './turn.js';

const storage = new AsyncLocalStorage<Turn>();

/**
 * The turn of the calling code, through any number of awaits. `undefined` outside of turns. Session data is never
 * global, so parallel turns do not see each other's.
 */
export function currentTurn(): Turn | undefined {
  return storage.getStore();
}

export function runAsCurrentTurn<T>(turn: Turn, fn: () => T): T {
  return storage.run(turn, fn);
}
