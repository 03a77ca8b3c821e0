import type { Dice } from './dice.js';

/** What a message's `task` says. */
export interface LetterTask {
  readonly name: string;
  readonly namespace?: string;
  readonly ttlMs: number;
  readonly stale: 'heal' | 'approve';
  readonly maxAttempts: number;
}

/** Who approves and releases. */
export const OPERATOR = 'operator';
const NAMESPACE = 'chaos';
const SHARED = ['deploy-0', 'deploy-1', 'careful-0', 'careful-1'];
const OWN = ['build', 'careful-build'];
/** Below the time of most faults, so that what a killed worker held ends within the run. */
const TTL_MS = [2_000, 4_000] as const;
export const MOST_TTL_MS = TTL_MS[1];

/** A task of the session, or one of a few that all sessions share. */
export function drawTask(dice: Dice): LetterTask {
  const isShared = dice.chance(0.5);
  const name = dice.pick(isShared ? SHARED : OWN);
  const stale = isCareful(name) ? 'approve' : 'heal';
  const own = { name, ttlMs: drawTtlMs(dice), stale, maxAttempts: attemptsOf(name) } as const;
  return isShared ? { ...own, namespace: NAMESPACE } : own;
}

/** Whether a holder of this task that is gone is as one that failed: it stands in the name, so all who want it say the same. */
export function isCareful(key: string): boolean {
  return key.slice(key.lastIndexOf(':') + 1).startsWith('careful');
}

/** Half of them have one attempt, the others three; by the name, too. */
function attemptsOf(name: string): number {
  return name.endsWith('-0') || name.startsWith('careful-b') ? 1 : 3;
}

/** The task that a handler runs by `turn.tasks.run`. */
export interface HandlerTask {
  readonly name: string;
  readonly namespace: string;
  readonly ttlMs: number;
  readonly stale: 'heal' | 'approve';
  readonly whenUnavailable: 'closed' | 'open';
  readonly maxAttempts: number;
}

const OF_HANDLERS = ['report-0', 'careful-report', 'open-report'];

/** All messages of a session name the same one, since some of them share a turn. */
export function handlerTask(n: number, ttlMs: number): HandlerTask {
  const name = OF_HANDLERS[n % OF_HANDLERS.length] as string;
  const whenUnavailable = name.startsWith('open') ? 'open' : 'closed';
  const stale = isCareful(name) ? 'approve' : 'heal';
  return { name, namespace: NAMESPACE, ttlMs, stale, whenUnavailable, maxAttempts: attemptsOf(name) };
}

export function drawTtlMs(dice: Dice): number {
  return dice.between(...TTL_MS);
}
