import { hash } from 'node:crypto';
import { z } from 'zod';
import { TASK_LIMITS, type Names, type ReleaseRequest, type TaskError } from '#contracts';
import type { KeyBucket } from '#jetstream';

/**
 * Failures that a worker could not report to the guard in time. The worker stores one before the record that ends its turn; the
 * guard looks for it before it treats the holder of a holding as gone. Without it a worker that dies after that record,
 * while the guard is away, leaves a failure that no process knows of, and `heal` would run the task again (G2).
 */
export interface TaskFailure {
  readonly runId: string;
  /** The holding that failed; absent = any holding of this run: the run is never repeated. */
  readonly token?: number | undefined;
  readonly status: 'failed' | 'timed_out' | 'rejected';
  readonly error?: TaskError | undefined;
}

/** The failure that a release reports; undefined when it reports none. */
export function failureOf(
  { runId, token }: { readonly runId: string; readonly token?: number },
  { status, error }: Pick<ReleaseRequest, 'status' | 'error'>,
): TaskFailure | undefined {
  if (status !== 'failed' && status !== 'timed_out' && status !== 'rejected') return undefined;
  return { runId, token, status, error: typeof error === 'string' ? { name: 'Error', message: error } : error };
}

/** Where failures are looked up. Rejects when the broker is away: an answer without it could be wrong. */
export interface FailureSource {
  find(key: string, holding: { readonly runId: string; readonly token: number }): Promise<TaskFailure | undefined>;
}

const taskFailure = z.object({
  v: z.literal(1),
  runId: z.string(),
  token: z.int().positive().optional(),
  status: z.enum(['failed', 'timed_out', 'rejected']),
  error: z.object({ name: z.string(), message: z.string() }).optional(),
});

const MAX_TRIES = 3;

export class FailureReports implements FailureSource {
  constructor(
    private readonly bucket: Pick<KeyBucket, 'read' | 'write'>,
    private readonly names: Names,
    /** As long as the failed task would be kept - ms. */
    private readonly keepMs: number | 'unlimited',
  ) {}

  /** Resolves when it is stored. Rejects when that is unclear: the broker is away, or does not let this process write there. */
  async report(key: string, failure: TaskFailure): Promise<void> {
    const place = this.placeOf(key, failure.runId);
    const ttl = this.keepMs === 'unlimited' ? {} : { ttlMs: this.keepMs };
    const value = JSON.stringify({ v: 1, ...failure, error: shortened(failure.error) });
    for (let tries = 1; tries <= MAX_TRIES; tries++) {
      const found = await this.bucket.read(place);
      if (found?.value !== undefined && saysMore(parseFailure(found.value), failure)) return;
      const { kind } = await this.bucket.write(place, value, { expected: found?.revision ?? 0, ...ttl });
      if (kind === 'written') return;
    }
    throw new Error('the broker does not confirm that it is stored');
  }

  async find(
    key: string,
    { runId, token }: { readonly runId: string; readonly token: number },
  ): Promise<TaskFailure | undefined> {
    const found = await this.bucket.read(this.placeOf(key, runId));
    const failure = found?.value === undefined ? undefined : parseFailure(found.value);
    const isOfThisHolding = failure?.runId === runId && (failure.token ?? token) === token;
    return isOfThisHolding ? failure : undefined;
  }

  /** One per run and task: a run of an approved task gets a new holding, and its later failure replaces the former one. */
  private placeOf(key: string, runId: string): string {
    // The run of an outside program may have a name that is too long for a subject.
    return `${this.names.taskKey(key)}.${hash('sha256', runId, 'base64url')}`;
  }
}

/** Whether the stored failure also covers this holding: it is of the same holding or of a later one, since tokens grow (G4). */
function saysMore(known: TaskFailure | undefined, { runId, token }: TaskFailure): boolean {
  if (known?.runId !== runId) return false;
  return known.token === undefined || (token !== undefined && token <= known.token);
}

/** Cut to what the guard accepts: the guard never saw this error, so it could not refuse it as too long. */
function shortened(error: TaskError | undefined): TaskError | undefined {
  if (error === undefined) return undefined;
  const { name, message } = error;
  return {
    name: name.slice(0, TASK_LIMITS.errorNameChars),
    message: message.slice(0, TASK_LIMITS.errorMessageChars),
  };
}

/** `undefined` for a value that no worker has written: it is ignored. */
function parseFailure(text: string): TaskFailure | undefined {
  try {
    return taskFailure.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
