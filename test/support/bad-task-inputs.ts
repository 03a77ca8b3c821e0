/**
 * Bad input to the guard, as data. To add a case, add a row: what is sent, and what the answer must name. Every row is held to
 * the same promises by test/e2e/guard-refuses-bad-input: a 4xx problem or a refusal, nothing changed, the process lives.
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

const acquire = (title: string, more: object, names: RegExp): WrongField => ({
  ...{ title: `acquire: ${title}`, operation: 'acquire', names },
  request: { ...GOOD, ...more },
});
const of = (operation: WrongField['operation'], title: string, request: unknown, names: RegExp): WrongField => ({
  ...{ title: `${operation}: ${title}`, operation, request, names },
});
const failure = { token: 1, status: 'failed' };

export const WRONG_FIELDS: readonly WrongField[] = [
  ...[0, -1, 1.5, 1e12, 999, 86_400_001].map((ttlMs) =>
    acquire(`a TTL of ${ttlMs}`, { ttlMs }, /ttlMs: found the number.*whole milliseconds from 1000 to 86400000/),
  ),
  acquire('a TTL with a unit', { ttlMs: '5m' }, /ttlMs: found a text/),
  acquire('a TTL that is a text', { ttlMs: '5000' }, /ttlMs/),
  acquire('a TTL that is null', { ttlMs: null }, /ttlMs: found null/),
  acquire('a TTL that is a list', { ttlMs: [5_000] }, /ttlMs/),
  acquire('no requestId', { requestId: undefined }, /requestId: found nothing/),
  acquire('an empty requestId', { requestId: '' }, /requestId: found an empty text/),
  acquire('a requestId of 129 characters', { requestId: long(129) }, /requestId/),
  acquire('a requestId with a line break', { requestId: 'a\nb' }, /requestId/),
  acquire('a requestId that is a number', { requestId: 7 }, /requestId: found the number 7/),
  acquire('no runId', { runId: undefined }, /runId: found nothing/),
  acquire('a runId that is null', { runId: null }, /runId: found null/),
  acquire('a runId with a lone surrogate', { runId: 'a\ud800' }, /runId/),
  acquire('a runId with a NUL', { runId: 'a\u0000' }, /runId/),
  acquire('a runId of 2049 characters', { runId: long(2_049) }, /runId/),
  acquire('an empty owner', { owner: '' }, /owner/),
  acquire('an owner that is an object', { owner: { name: 'me' } }, /owner: found an object/),
  acquire('a policy that is none', { stale: 'forget' }, /stale.*heal, approve/),
  acquire('a policy that is null', { stale: null }, /stale/),
  acquire('meta over 8 KiB', { meta: long(8_191) }, /meta.*8192 bytes/),
  acquire('meta over 8 KiB in few characters', { meta: '🙂'.repeat(2_048) }, /meta.*8192 bytes/),
  acquire('a negative doneForMs', { doneForMs: -1 }, /doneForMs/),
  acquire('a doneForMs of a year', { doneForMs: 365 * 86_400_000 }, /doneForMs/),
  acquire('an approvalForMs of nothing', { approvalForMs: 0 }, /approvalForMs/),
  acquire('an unknown field', { colour: 'red' }, /colour: found an unknown field/),
  acquire('a misspelt ttlMs', { ttlMS: 5_000 }, /did you mean ttlMs/),
  acquire('a misspelt runId', { runid: 'x' }, /did you mean runId/),
  acquire('a misspelt owner', { onwer: 'x' }, /did you mean owner/),
  acquire('a token', { token: 1 }, /token: found an unknown field/),
  of('acquire', 'nothing', {}, /requestId.*runId/s),
  of('acquire', 'a list', [GOOD], /body: found an array/),
  of('acquire', 'a text', 'run', /body/),
  of('acquire', 'null', null, /body: found null/),
  of('acquire', 'true', true, /body/),

  of('renew', 'no token', {}, /token: found nothing.*acquire answered/),
  of('renew', 'a token that is a text', { token: '7' }, /token: found a text/),
  of('renew', 'a token of 0', { token: 0 }, /token: found the number 0/),
  of('renew', 'a negative token', { token: -3 }, /token: found the number -3/),
  of('renew', 'half a token', { token: 0.5 }, /token/),
  of('renew', 'a token that is not exact', { token: 2 ** 53 }, /token/),
  of('renew', 'a token that is null', { token: null }, /token/),
  of('renew', 'a TTL of 0', { token: 1, ttlMs: 0 }, /ttlMs/),
  of('renew', 'a runId', { token: 1, runId: 'run' }, /runId: found an unknown field/),

  of('release', 'no status', { token: 1 }, /status: found nothing.*succeeded/),
  of('release', 'a status that is none', { token: 1, status: 'done' }, /status.*succeeded, failed/),
  of('release', 'a status in capitals', { token: 1, status: 'FAILED' }, /status/),
  of('release', 'a status that is a number', { token: 1, status: 1 }, /status/),
  of('release', 'a token that is a text', { token: '1', status: 'failed' }, /token: found a text/),
  of('release', 'a token that is null', { token: null, status: 'failed' }, /token: found null/),
  of('release', 'an error of 2001 characters', { ...failure, error: long(2_001) }, /error/),
  of('release', 'an error without a message', { ...failure, error: { name: 'E' } }, /error/),
  of('release', 'an error with an empty name', { ...failure, error: { name: '', message: 'x' } }, /error/),
  of('release', 'an error with a stack', { ...failure, error: { name: 'E', message: 'x', stack: 'y' } }, /error/),
  of('release', 'an error that is a number', { ...failure, error: 7 }, /error/),
  of('release', 'a result over 64 KiB', { ...failure, result: long(65_535) }, /result.*65536 bytes/),
  of('release', 'a misspelt status', { token: 1, state: 'failed' }, /did you mean status/),

  of('approve-retry', 'by nobody', {}, /by: found nothing/),
  of('approve-retry', 'by an empty name', { by: '' }, /by: found an empty text/),
  of('approve-retry', 'by a name of 257 characters', { by: long(257) }, /by/),
  of('approve-retry', 'by a number', { by: 7 }, /by/),
  of('approve-retry', 'with a token', { by: 'ana', token: 1 }, /token: found an unknown field/),

  of('end', 'a status of another kind', { by: 'ana', status: 'succeeded' }, /status.*cancelled or failed/),
  of('end', 'an empty name', { by: '' }, /by/),
  of('end', 'a result', { by: 'ana', result: 1 }, /result: found an unknown field/),
  of('end', 'a runId that is a number', { by: 'ana', runId: 1 }, /runId/),
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
  raw('half a JSON', '{"requestId":', /JSON/),
  raw('an empty body', '', /JSON|body/),
  raw('a TTL that is NaN', '{"requestId":"r","runId":"run","ttlMs":NaN}', /JSON/),
  raw('bytes that are no text', new Uint8Array([0xff, 0xfe, 0x7b]), /JSON/),
  raw('half a character', Buffer.from('{"requestId":"r","runId":"grün"}', 'latin1'), /body.*UTF-8/),
  raw('a prototype', '{"requestId":"r","runId":"run","__proto__":{"admin":true}}', /__proto__/, 422),
  raw('a key twice in meta', '{"requestId":"r","runId":"run","meta":{"a":1,"a":2}}', /meta\.a.*twice/, 422),
  raw('half a surrogate pair in meta', '{"requestId":"r","runId":"run","meta":["\\ud800"]}', /meta\.0.*surrogate/, 422),
  raw('meta of 65 levels', `{"requestId":"r","runId":"run","meta":${nested(65)}}`, /meta.*64 levels/, 422),
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
  key('of 193 emoji', encodeURIComponent('🙂'.repeat(193)), KEY_WANTED),
  key('with a NUL', 'a%00b', KEY_WANTED),
  key('with a line break', 'a%0Ab', KEY_WANTED),
  key('with a control character of two bytes', 'a%C2%85b', KEY_WANTED),
  key('that is no UTF-8', '%ff', /path/, 400),
  key('that is a lone surrogate in UTF-8', '%ED%A0%80', /path/, 400),
  key('with broken percent-encoding', '%zz', /path/, 400),
  key('with half a percent-encoding', 'a%2', /path/, 400),
  key('that is empty', '', /openapi/, 404),
  key('of 9,000 characters', long(9_000), /path|key|route/, 414),
  key('with a slash that is not encoded', 'main/s::held', /openapi/, 404),

  get('the tasks of a state that is none', '/v1/tasks?state=waiting', /state.*running, succeeded/),
  get('the tasks of two states', '/v1/tasks?state=failed&state=stale', /state/),
  get('the tasks of an empty scope', '/v1/tasks?scope=', /scope/),
  get('the tasks of two scopes', '/v1/tasks?scope=a&scope=b', /scope/),
  get('no tasks at all', '/v1/tasks?limit=0', /limit/),
  get('more tasks than a page', '/v1/tasks?limit=201', /limit/),
  get('tasks after what is no cursor', '/v1/tasks?after=x', /after/),
  get('a task with a NUL', '/v1/tasks/a%00', KEY_WANTED, 422),
  get('a task that never ran', '/v1/tasks/nobody', /key.*GET \/v1\/tasks/, 404),
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
  { title: 'half a JSON', operation: 'release', payload: '{"key":', names: /key/ },
  {
    ...{ title: 'meta nested a hundred thousand deep', operation: 'acquire', names: /nest/ },
    payload: `{"key":"k","request":{"requestId":"r","runId":"run","meta":${nested(100_000)}}}`,
  },
  call('null', null, /key/),
  call('a list', [HELD, GOOD], /key/),
  call('no key', { request: GOOD }, /key: found nothing/),
  call('an empty key', { key: '', request: GOOD }, KEY_WANTED),
  call('a key that is a number', { key: 7, request: GOOD }, /key: found the number 7/),
  call('a key that is a list', { key: [HELD], request: GOOD }, /key: found an array/),
  call('a key of 769 bytes', { key: long(769), request: GOOD }, KEY_WANTED),
  call('a key with a NUL', { key: 'a\u0000', request: GOOD }, KEY_WANTED),
  call('a key with a lone surrogate', { key: 'a\ud800', request: GOOD }, /key.*surrogate/),
  call('no request', { key: HELD }, /body: found nothing/),
  call('a bound that is a text', { key: HELD, request: GOOD, validUntil: 'soon' }, /validUntil: found a text/),
  call('a bound that is null', { key: HELD, request: GOOD, validUntil: null }, /validUntil: found null/),
];
