/**
 * Bad input to the guard that only a real connection can bring, over HTTP and over NATS. What a field may hold is in the unit
 * tables beside the checks (task-guard.spec.ts, task-key.spec.ts, task-calls.provider.spec.ts, task-query.spec.ts); here one
 * wrong field of each operation shows that it asks its check. Every row is held to the same promises by
 * test/e2e/guard-refuses-bad-input: a 4xx problem or a refusal, nothing changed, the process lives.
 */

export interface BadTaskRequest {
  readonly title: string;
  readonly method?: string;
  /** Below the guard's address; default: to acquire the task that is held. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly status: number;
  /** Must stand in the problem's detail: the field, or what was wanted. */
  readonly names: RegExp;
}

/** A request over NATS: what is sent, and what the refusal must name. */
export interface BadTaskCall {
  readonly title: string;
  readonly operation: string;
  readonly payload: string | Uint8Array;
  readonly names: RegExp;
}

/** The tasks that stand there while all of this is sent. */
export const HELD = 'main/s::held';
export const FAILED = 'main/s::failed';

const JSON_TYPE = { 'content-type': 'application/json' };
const GOOD = { requestId: 'r', runId: 'run' };
const long = (chars: number): string => 'x'.repeat(chars);
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const pathOf = (key: string, operation: string): string => `/v1/tasks/${encodeURIComponent(key)}/${operation}`;

/** A body with one wrong field; each goes over HTTP and over NATS. */
interface WrongField {
  readonly title: string;
  readonly operation: 'acquire' | 'renew' | 'release' | 'approve-retry' | 'end';
  readonly request: unknown;
  readonly names: RegExp;
}

const of = (operation: WrongField['operation'], title: string, request: unknown, names: RegExp): WrongField => ({
  ...{ title: `${operation}: ${title}`, operation, request, names },
});

const WRONG_FIELDS: readonly WrongField[] = [
  of('acquire', 'a TTL with a unit', { ...GOOD, ttlMs: '5m' }, /ttlMs: found a text/),
  of('renew', 'no token', {}, /token: found nothing.*acquire answered/),
  of('release', 'a status that is none', { token: 1, status: 'done' }, /status.*succeeded, failed/),
  of('approve-retry', 'no name', {}, /by: found nothing/),
  of('end', 'a result', { by: 'ana', result: 1 }, /result: found an unknown field/),
];

function raw(title: string, body: string | Uint8Array, names: RegExp, status = 400): BadTaskRequest {
  return { title, headers: JSON_TYPE, body, status, names };
}

function key(title: string, encoded: string, names: RegExp, status = 422): BadTaskRequest {
  const path = `/v1/tasks/${encoded}/acquire`;
  return { title: `a key ${title}`, path, headers: JSON_TYPE, body: JSON.stringify(GOOD), status, names };
}

function get(title: string, path: string, names: RegExp, status = 400, method = 'GET'): BadTaskRequest {
  return { title, method, path, status, names };
}

const KEY_WANTED = /key.*1 to 768 bytes/;

export const BAD_TASK_REQUESTS: readonly BadTaskRequest[] = [
  ...WRONG_FIELDS.map(({ title, operation, request, names }) => ({
    ...{ title, headers: JSON_TYPE, body: JSON.stringify(request), status: 422, names },
    path: pathOf(operation === 'approve-retry' ? FAILED : HELD, operation === 'end' ? 'release' : operation),
  })),
  raw('no JSON', 'hello', /JSON/),
  raw('an empty body', '', /JSON|body/),
  raw('bytes that are no text', new Uint8Array([0xff, 0xfe, 0x7b]), /JSON/),
  raw('half a character', Buffer.from('{"requestId":"r","runId":"grün"}', 'latin1'), /body.*UTF-8/),
  raw('a key twice in meta', '{"requestId":"r","runId":"run","meta":{"a":1,"a":2}}', /meta\.a.*twice/, 422),
  { ...raw('Latin-1', '{}', /charset/, 415), headers: { 'content-type': 'application/json; charset=latin1' } },
  raw('meta nested a hundred thousand deep', `{"requestId":"r","runId":"run","meta":${nested(100_000)}}`, /nest/, 422),
  raw('a body over 1 MiB', JSON.stringify({ ...GOOD, meta: long(1_100_000) }), /body/, 413),
  { title: 'no body at all', headers: JSON_TYPE, status: 400, names: /JSON|body/ },
  { title: 'no content type', body: new Uint8Array([0x7b, 0x7d]), status: 415, names: /Content-Type/ },
  { title: 'plain text', headers: { 'content-type': 'text/plain' }, body: '{}', status: 415, names: /Content-Type/ },
  {
    ...{ title: 'a form', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'runId=x' },
    ...{ status: 415, names: /Content-Type/ },
  },
  { ...raw('a web page', '{}', /Origin/, 403), headers: { ...JSON_TYPE, origin: 'http://evil.example' } },
  { ...raw('a Host of somewhere else', '{}', /Host/, 403), headers: { ...JSON_TYPE, host: 'evil.example' } },

  key('of 769 bytes', long(769), KEY_WANTED),
  key('that is no UTF-8', '%ff', /path/, 400),
  key('that is a lone surrogate in UTF-8', '%ED%A0%80', /path/, 400),
  key('with broken percent-encoding', '%zz', /path/, 400),
  key('that is empty', '', /openapi/, 404),
  key('of 9,000 characters', long(9_000), /path|key|route/, 414),
  key('with a slash that is not encoded', 'main/s::held', /openapi/, 404),

  get('the tasks of two states', '/v1/tasks?state=failed&state=stale', /state/),
  get('the tasks of two scopes', '/v1/tasks?scope=a&scope=b', /scope/),
  get('a task that never ran', '/v1/tasks/none', /key.*GET \/v1\/tasks/, 404),
  get('to acquire by GET', pathOf(HELD, 'acquire'), /openapi/, 404),
  get('to acquire by PUT', pathOf(HELD, 'acquire'), /openapi/, 404, 'PUT'),
  get('to delete a task', `/v1/tasks/${encodeURIComponent(HELD)}`, /openapi/, 404, 'DELETE'),
  get('what is no operation', pathOf(HELD, 'steal'), /openapi/, 404, 'POST'),
];

const call = (title: string, payload: unknown, names: RegExp): BadTaskCall => ({
  ...{ title, operation: 'acquire', payload: JSON.stringify(payload), names },
});

export const BAD_TASK_CALLS: readonly BadTaskCall[] = [
  ...WRONG_FIELDS.map(({ title, operation, request, names }) => ({
    ...{ title, operation, names },
    payload: JSON.stringify({ key: operation === 'approve-retry' ? FAILED : HELD, request }),
  })),
  { title: 'nothing', operation: 'acquire', payload: '', names: /key: found nothing.*body: found nothing/ },
  { title: 'no JSON', operation: 'renew', payload: 'hello', names: /key: found nothing/ },
  { title: 'bytes', operation: 'end', payload: new Uint8Array([0xff, 0x00, 0xfe]), names: /UTF-8/ },
  {
    ...{ title: 'a key twice in meta', operation: 'acquire', names: /meta\.a.*twice/ },
    payload: '{"key":"k","request":{"requestId":"r","runId":"run","meta":{"a":1,"a":2}}}',
  },
  {
    ...{ title: 'meta nested a hundred thousand deep', operation: 'acquire', names: /nest/ },
    payload: `{"key":"k","request":{"requestId":"r","runId":"run","meta":${nested(100_000)}}}`,
  },
  call('a bound that is a text', { key: HELD, request: GOOD, validUntil: 'soon' }, /validUntil: found a text/),
];
