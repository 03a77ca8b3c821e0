import { AsyncLocalStorage } from 'node:async_hooks';
import type { Turn } from './turn.js';

const storage = new AsyncLocalStorage<Turn>();

/**
 * The turn that the calling code runs in, through any number of awaits; `undefined` outside of turns. Nothing of a
 * session is kept in a global, so two turns side by side never see each other's.
 */
export function currentTurn(): Turn | undefined {
  return storage.getStore();
}

export function runAsCurrentTurn<T>(turn: Turn, fn: () => T): T {
  return storage.run(turn, fn);
}
