import { LanekeeperError } from './errors.js';

const MAX_NAME_CHARS = 100;
const MAX_MESSAGE_CHARS = 2_000;

/**
 * What was thrown, as two bounded texts that a record can keep: our own errors by their code. Anything may be thrown, also
 * what has no text or throws when asked for it.
 */
export function describeThrown(thrown: unknown): { name: string; message: string } {
  try {
    const { name, message } = thrown instanceof Error ? thrown : { name: 'Error', message: String(thrown) };
    return {
      name: bounded(thrown instanceof LanekeeperError ? thrown.code : name, MAX_NAME_CHARS, 'Error'),
      message: bounded(message, MAX_MESSAGE_CHARS, ''),
    };
  } catch {
    return { name: 'Error', message: 'what the handler threw cannot be described' };
  }
}

function bounded(value: unknown, maxChars: number, fallback: string): string {
  return typeof value === 'string' ? value.slice(0, maxChars).toWellFormed() : fallback;
}
