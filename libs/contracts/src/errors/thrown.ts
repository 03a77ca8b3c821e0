import { LanekeeperError, type AgentFinding } from './errors.js';

const MAX_NAME_CHARS = 100;
const MAX_MESSAGE_CHARS = 2_000;
/** Limit for what an outside agent answered. */
export const MAX_EXCERPT_CHARS = 500;

/** What went wrong, as records keep it; bounded. */
export interface DescribedError extends Pick<AgentFinding, 'status' | 'excerpt'> {
  readonly name: string;
  readonly message: string;
}

/**
 * A thrown value as bounded texts for a record: our own errors with their code, and with what an outside agent answered.
 * A handler may throw anything, even a value without a text or one that throws when it is read.
 */
export function describeThrown(thrown: unknown): DescribedError {
  try {
    const { name, message } = thrown instanceof Error ? thrown : { name: 'Error', message: String(thrown) };
    return {
      ...boundedError(thrown instanceof LanekeeperError ? thrown.code : name, message),
      ...(thrown instanceof LanekeeperError ? whatWasSaid(thrown.finding) : {}),
    };
  } catch {
    return { name: 'Error', message: 'what the handler threw cannot be described' };
  }
}

/** A name and a message, bounded as in records. */
export function boundedError(name: unknown, message: unknown): { readonly name: string; readonly message: string } {
  return { name: bounded(name, MAX_NAME_CHARS, 'Error'), message: bounded(message, MAX_MESSAGE_CHARS, '') };
}

function whatWasSaid({ status, excerpt }: AgentFinding = {}): Pick<AgentFinding, 'status' | 'excerpt'> {
  return {
    ...(Number.isSafeInteger(status) ? { status: status as number } : {}),
    ...(excerpt === undefined || excerpt === '' ? {} : { excerpt: bounded(excerpt, MAX_EXCERPT_CHARS, '') }),
  };
}

function bounded(value: unknown, maxChars: number, fallback: string): string {
  return typeof value === 'string' ? value.slice(0, maxChars).toWellFormed() : fallback;
}
