import { Names, DEFAULT_SHARDS } from '#contracts';

/** What the programs of the part guard agree on. */

const names = new Names('lk', DEFAULT_SHARDS);

export const BARE_SUBJECT = 'bare.acquire';

/** Under which the bare guard keeps a key: in the bucket of the guard, so that both write to the same stream. */
export function bareKeySubject(key: string): string {
  return `$KV.${names.tasksBucket}.${names.taskKey(key)}`;
}

/** Who is asked, and how. */
export type Way = 'nats' | 'http' | 'bare';
export const WAYS: readonly Way[] = ['nats', 'bare', 'http'];

/** Microseconds from a request to its answer. */
export type Latencies = Readonly<Record<Way, readonly number[]>>;
