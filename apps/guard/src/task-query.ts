import { TASK_STATES, showValue, taskKeyProblem, type TaskState } from '#contracts';
import { inputProblem, oneText } from '#http';

/** Reads of the path and the query. Each throws a problem that names the field, or returns the clean value. */

export function readKey(key: string): string {
  const problem = taskKeyProblem(key);
  if (problem !== undefined) throw inputProblem(422, [problem]);
  return key;
}

export function readState(state: unknown): TaskState | undefined {
  if (state === undefined) return undefined;
  const known = TASK_STATES.find((name) => name === state);
  if (known !== undefined) return known;
  const wanted = `one of ${TASK_STATES.join(', ')}`;
  throw inputProblem(400, [{ field: 'state', found: showValue(state), wanted }]);
}

export function readScope(scope: unknown): string | undefined {
  if (scope === undefined) return undefined;
  const text = oneText('scope', scope);
  const problem = taskKeyProblem(text);
  if (problem !== undefined) throw inputProblem(400, [{ ...problem, field: 'scope' }]);
  return text;
}
