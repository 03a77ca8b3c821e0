import type { ReleaseAnswer, ReleaseRequest, RenewAnswer, RenewRequest } from '#contracts';
import { silentLogger } from '#telemetry';
import { ManualClock } from '#testing';
import type { GuardCallOptions } from './guard.client.js';
import { TaskHolding, type TaskHoldingOptions } from './task-holding.js';

export const TTL_MS = 30_000;
export const THIRD_MS = 10_000;
export const RELEASED = { kind: 'released', state: 'failed' } as const;
export const AWAY = new Error('no answer');

export type Answer<T> = T | Error | Promise<T>;

/** A guard that answers as the spec says; by default it renews and releases. */
class ManualGuard {
  readonly renewals: RenewRequest[] = [];
  readonly releases: { readonly key: string; readonly request: ReleaseRequest; readonly within?: number }[] = [];
  renewal: () => Answer<RenewAnswer> = () => ({ kind: 'renewed', expiresAt: 0 });
  releasing: () => Answer<ReleaseAnswer> = () => RELEASED;

  /** From now on renewals wait; the returned function answers the latest of them. */
  holdRenewal(): (answer: RenewAnswer) => void {
    let answer: (answer: RenewAnswer) => void = () => {};
    this.renewal = () => new Promise((resolve) => (answer = resolve));
    return (told) => answer(told);
  }

  async renew(_key: string, request: RenewRequest): Promise<RenewAnswer> {
    this.renewals.push(request);
    return orThrow(await this.renewal());
  }

  async release(key: string, request: ReleaseRequest, { withinMs }: GuardCallOptions = {}): Promise<ReleaseAnswer> {
    this.releases.push({ key, request, ...(withinMs === undefined ? {} : { within: withinMs }) });
    return orThrow(await this.releasing());
  }
}

function orThrow<T>(answer: T | Error): T {
  if (answer instanceof Error) throw answer;
  return answer;
}

export function setUp({ ageMs = 0, ...more }: Partial<TaskHoldingOptions> & { readonly ageMs?: number } = {}) {
  const clock = new ManualClock();
  const client = new ManualGuard();
  const warned: string[] = [];
  const log = { ...silentLogger, warn: (_fields: object, message: string) => void warned.push(message) };
  const since = clock.monotonic();
  clock.standStill(ageMs);
  const holding = new TaskHolding({ client, key: 'k', token: 7, ttlMs: TTL_MS, since, clock, log, ...more });
  return { clock, client, holding, warned };
}
