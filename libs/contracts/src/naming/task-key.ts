import type { InputProblem } from '../errors/errors.js';
import { describeValue } from '../errors/describe-value.js';
import { decodeToken, encodeToken } from './tokens.js';

/**
 * Keys of tasks: `<scope>::<name>`. The scope is a session, `<agent>/<session>`, or a namespace that sessions and channels
 * share. A key from outside is used as given, even without a scope.
 */

export const MAX_TASK_KEY_BYTES = 768;
const MAX_TASK_NAME_BYTES = 128;
const MAX_NAMESPACE_BYTES = 512;
const SEPARATOR = '::';

const NAME_WANTED = `1 to ${MAX_TASK_NAME_BYTES} bytes without control characters, without "::", and not beginning with ":"`;
const NAMESPACE_WANTED = `1 to ${MAX_NAMESPACE_BYTES} bytes without control characters`;
const KEY_WANTED = `1 to ${MAX_TASK_KEY_BYTES} bytes of well-formed text without control characters, such as <session>::<task>`;

/** Whether a text may be the name of a task: with other texts, two tasks could get the same key. */
export function isTaskName(name: string): boolean {
  return isText(name, MAX_TASK_NAME_BYTES) && !name.includes(SEPARATOR) && !name.startsWith(':');
}

export function isTaskNamespace(namespace: string): boolean {
  return isText(namespace, MAX_NAMESPACE_BYTES);
}

export const TASK_WANTED = { name: NAME_WANTED, namespace: NAMESPACE_WANTED } as const;

/** The problem of a key from outside. */
export function taskKeyProblem(key: unknown): InputProblem | undefined {
  if (typeof key === 'string' && isText(key, MAX_TASK_KEY_BYTES)) return undefined;
  return { field: 'key', found: describeValue(key), wanted: KEY_WANTED };
}

/** The scope of the tasks of one session. */
export function sessionTaskScope(agent: string, session: string): string {
  return `${agent}/${session}`;
}

export function makeTaskKey(scope: string, name: string): string {
  return `${scope}${SEPARATOR}${name}`;
}

/** The key of a task that a message or a turn names within a session. */
export function sessionTaskKey(
  task: string | { readonly name: string; readonly namespace?: string | undefined },
  { agent, session }: { readonly agent: string; readonly session: string },
): string {
  const { name, namespace } = typeof task === 'string' ? { name: task, namespace: undefined } : task;
  return makeTaskKey(namespace ?? sessionTaskScope(agent, session), name);
}

/** The tokens of a key in the bucket and in subjects: two, scope and name, or one for a key without a scope. */
export function taskKeyTokens(key: string): readonly [string] | readonly [scope: string, name: string] {
  const at = key.lastIndexOf(SEPARATOR);
  const name = key.slice(at + SEPARATOR.length);
  return at <= 0 || name === '' ? [encodeToken(key)] : [encodeToken(key.slice(0, at)), encodeToken(name)];
}

/** The key with these tokens; `undefined` for anything that `taskKeyTokens` did not make. */
export function parseTaskKeyTokens(tokens: readonly string[]): string | undefined {
  const texts = tokens.map(decodeToken);
  if (texts.length === 0 || texts.length > 2 || texts.some((text) => text === undefined)) return undefined;
  const key = texts.join(SEPARATOR);
  return taskKeyTokens(key).join('.') === tokens.join('.') ? key : undefined;
}

function isText(text: string, maxBytes: number): boolean {
  return text !== '' && Buffer.byteLength(text) <= maxBytes && text.isWellFormed() && !/\p{Cc}/u.test(text);
}
