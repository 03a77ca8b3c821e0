/**
 * Guards the tools of an agent runtime with Lanekeeper: one JSON event on standard input, one JSON answer on standard output,
 * always with exit code 0. Plain Node (20.19 or newer), nothing to install. The first argument names the hook:
 *
 *   before_tool_call  {sessionKey, runId, toolCallId, toolName, params}
 *                     -> {block: false, task?: {key, token, expiresAt}} | {block: true, blockReason}
 *   renew             the same event, each third of GUARD_TTL_MS while the tool runs -> {ok, expiresAt}; not ok = stop it
 *   after_tool_call   the same event, with `error` when the tool failed -> {ok, state}
 *   agent_end         {sessionKey, runId, success} -> {ok, released: [key, ...]}: what this run still holds
 *
 * It keeps nothing between its calls: the key and the run of a task are computed from the event, its token is read from the
 * guard. So it does not matter which process, or which host, is asked.
 */
import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

const {
  LANEKEEPER_URL = 'http://127.0.0.1:7070',
  /**
   * Tools that start a task. `exec` = one task for all its calls in a session; `exec:command` = one per value of a parameter.
   */
  GUARDED_TOOLS = 'exec,sessions_spawn',
  /** How long a task lasts without a renewal. */
  GUARD_TTL_MS = '300000',
  /** What becomes of it then: heal = the next one may run it, approve = a person has to say so. */
  GUARD_STALE = 'heal',
  /** For everything, from the start of this process: the runtime gives a hook 15 s, and a late answer is none. */
  GUARD_BUDGET_MS = '10000',
} = process.env;
const TRY_MS = 2_500; // a guard that was killed under a request never answers it: another replica does

const budgetMs = Number(GUARD_BUDGET_MS);
const UNAVAILABLE = `the task guard could not be asked within ${budgetMs} ms; nothing starts without it`;
const renew = (event) => tell(event, 'renew', {});
const hooks = { before_tool_call: beforeToolCall, renew, after_tool_call: afterToolCall, agent_end: agentEnd };
const hook = process.argv[2] ?? 'before_tool_call';
const sha256 = (value) => createHash('sha256').update(value).digest('hex');
const iso = (at) => new Date(at).toISOString();
const pathOf = (key) => `/${encodeURIComponent(key)}`;
/** One call of a tool is one run of its task: a later call of the same agent run may run it again. */
const runOf = ({ runId, toolCallId }) => `${wanted('runId', runId)}/${wanted('toolCallId', toolCallId)}`;

const late = delay(budgetMs).then(() => refuse(UNAVAILABLE));
// Fail-closed: whatever goes wrong, the answer is no.
const answer = await Promise.race([decide(), late]).catch((error) => refuse(error.message));
process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));

function refuse(reason) {
  const isQuestion = !Object.hasOwn(hooks, hook) || hook === 'before_tool_call';
  return isQuestion ? { block: true, blockReason: reason } : { ok: false, reason };
}

async function decide() {
  const event = JSON.parse(await text(process.stdin));
  if (typeof event !== 'object' || event === null) throw new Error('the event is no object');
  if (Object.hasOwn(hooks, hook)) return hooks[hook](event);
  throw new Error(`${hook} is none of ${Object.keys(hooks).join(', ')}`);
}

async function beforeToolCall(event) {
  const key = keyOf(event);
  if (key === undefined) return { block: false };
  const runId = runOf(event);
  const found = await ask('POST', `${pathOf(key)}/acquire`, {
    // The same for a hook that is called again, also by a restarted runtime, and for no other call of any tool: ids of tool
    // calls alone may repeat from run to run (`call_0`), and a caller that repeats a requestId gets the same holding.
    requestId: sha256(runId),
    ...{ runId, owner: event.sessionKey, ttlMs: Number(GUARD_TTL_MS), stale: GUARD_STALE },
  });
  // Nothing in these texts changes while the state does not, so that a model that asks again sees the same again.
  switch (found.kind) {
    case 'acquired':
      return { block: false, task: { key, token: found.token, expiresAt: found.expiresAt } };
    case 'already_running':
      return refuse(`${key} is already_running: run ${found.runId}, since ${iso(found.startedAt)}; do not repeat it`);
    case 'approval_required':
      return refuse(`${key} needs approval of a person: run ${found.failedRunId} failed at ${iso(found.failedAt)}`);
    case 'done':
      return refuse(`${key} is done: this very call ended well at ${iso(found.endedAt)}; do not repeat it`);
    default:
      throw new Error(`${LANEKEEPER_URL} gave an answer that no guard gives`);
  }
}

function afterToolCall(event) {
  const error = event.error && { error: String(event.error).slice(0, 2_000) };
  return tell(event, 'release', { status: error ? 'failed' : 'succeeded', ...error });
}

/** A tool without a guard has nothing to report. */
async function tell(event, operation, how) {
  const key = keyOf(event);
  if (key === undefined) return { ok: true };
  const { runId, token, state } = await ask('GET', pathOf(key));
  if (runId !== runOf(event)) throw new Error(`${key} is not held by this call: it is ${state}, run ${runId}`);
  return { ok: true, ...(await ask('POST', `${pathOf(key)}/${operation}`, { token, ...how })) };
}

/** Of a run that ended well, what is left was never started, and is free; of any other one it may be half-done. */
async function agentEnd({ sessionKey, runId, success }) {
  const query = new URLSearchParams({ scope: wanted('sessionKey', sessionKey), state: 'running', limit: '200' });
  const { tasks } = await ask('GET', `?${query}`);
  const left = tasks.filter((task) => task.runId.startsWith(`${wanted('runId', runId)}/`));
  const how = { status: success === true ? 'cancelled' : 'failed' };
  const told = left.map(({ key, token }) => ask('POST', `${pathOf(key)}/release`, { token, ...how }));
  const fault = (await Promise.allSettled(told)).find(({ reason }) => reason && reason.status !== 409);
  if (fault) throw fault.reason; // but for a 409: then its own hook was faster
  return { ok: true, released: left.map(({ key }) => key) };
}

function keyOf({ sessionKey, toolName, params }) {
  const tools = GUARDED_TOOLS.split(',').map((entry) => entry.trim().split(':'));
  const entry = tools.find(([tool]) => tool === wanted('toolName', toolName));
  if (entry === undefined) return undefined;
  const value = entry[1] && params?.[entry[1]];
  const task = value === undefined ? toolName : `${toolName} ${short(value)}`;
  return `${wanted('sessionKey', sessionKey)}::${task}`;
}

/** A value as part of a key: no control characters, no `::`, not too long, and two different long ones stay different. */
function short(value) {
  const whole = typeof value === 'string' ? value : JSON.stringify(value);
  const part = whole.slice(0, 80).replace(/[\p{C}:]/gu, '_');
  return part === whole ? part : `${part} ${sha256(whole).slice(0, 12)}`;
}

/** The same request until there is an answer: what an earlier try has done already, the guard answers again. */
async function ask(method, path, body) {
  while (performance.now() < budgetMs) {
    try {
      const response = await fetch(`${LANEKEEPER_URL}/v1/tasks${path}`, {
        ...{ method, signal: AbortSignal.timeout(TRY_MS) },
        ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      const answer = await response.json();
      if (response.ok) return answer;
      throw Object.assign(new Error(`${response.status}: ${answer.detail}`), { status: response.status });
    } catch (error) {
      if (error.status < 500) throw error;
      console.error(`${error.cause?.message || error.message}, trying again`);
    }
    await delay(250);
  }
  throw new Error(UNAVAILABLE);
}

function wanted(field, value) {
  if (typeof value === 'string' && value !== '') return value;
  throw new Error(`${field} of the event: found none, wanted a text`);
}
