import { hash } from 'node:crypto';
import type { Settings } from '#config';
import {
  agentName,
  isTaskName,
  sessionNames,
  sessionTaskKey,
  type InboxMessage,
  type SessionTokens,
  type StalePolicy,
} from '#contracts';
import { commandWord } from './command-word.js';

/** The task of a message, as it is requested from the guard. */
export interface GuardedTask {
  readonly key: string;
  readonly ttlMs: number;
  readonly stale: StalePolicy;
  readonly maxAttempts: number;
}

/** The settings that say which tasks messages start. */
export type TaskSettings = Pick<Settings, 'guard'> & {
  readonly agents: Readonly<Record<string, Pick<Settings['agents'][string], 'taskFrom'>>>;
};

/** The task that a message starts: the one that it names, or else what `taskFrom` of its agent finds in it. */
export function taskOfMessage(
  { guard, agents }: TaskSettings,
  tokens: Pick<SessionTokens, 'agentToken' | 'sessionToken'>,
  message: Pick<InboxMessage, 'task' | 'text' | 'data'>,
): GuardedTask | undefined {
  const taskFrom = agents[agentName(tokens.agentToken)]?.taskFrom;
  const named = typeof message.task === 'string' ? { name: message.task } : message.task;
  const found = named ?? (taskFrom === undefined ? undefined : { ...taskFrom, name: findName(taskFrom, message) });
  if (found?.name === undefined) return undefined;
  const { name, namespace } = found;
  return {
    key: sessionTaskKey({ name, namespace }, sessionNames(tokens)),
    ttlMs: found.ttlMs ?? guard.ttlMs,
    stale: found.stale ?? guard.stale,
    maxAttempts: found.maxAttempts ?? guard.maxAttempts,
  };
}

type TaskFrom = NonNullable<TaskSettings['agents'][string]['taskFrom']>;

function findName(
  { commands = [], names, data }: TaskFrom,
  message: Pick<InboxMessage, 'text' | 'data'>,
): string | undefined {
  const word = commands.length === 0 ? undefined : commandWord(message.text ?? '', names);
  const command = commands.find((known) => known.toLowerCase() === word);
  if (command !== undefined) return command.replace(/^[/!]/, '');
  const value = data === undefined ? undefined : valueAt(message.data?.value, data.split('.'));
  if (typeof value !== 'string' || value === '') return undefined;
  // Any text guards its task, even when it is not a valid name: the same text is the same task.
  return isTaskName(value) ? value : `sha256-${hash('sha256', value, 'hex').slice(0, HASH_CHARS)}`;
}

const HASH_CHARS = 32;

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (group, key) =>
      typeof group === 'object' && group !== null && Object.hasOwn(group, key)
        ? (group as Record<string, unknown>)[key]
        : undefined,
    value,
  );
}
