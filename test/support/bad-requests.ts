/**
 * Bad requests, as data. To add a case, add a row: what is sent, and what the answer must name. Every row is held to the same
 * promises by test/e2e/bad-input-is-refused: a 4xx problem, nothing stored, the process lives.
 */

export interface BadRequest {
  readonly title: string;
  readonly method?: string;
  /** Below the ingress's address; default: the message route of a session. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Uint8Array;
  readonly status: number;
  /** Must stand in the problem's detail: the field, or what was wanted. */
  readonly names: RegExp;
}

const SESSION = '/v1/agents/main/sessions/s';
const MESSAGES = `${SESSION}/messages`;
const PLACES = '/v1/agents/main/messages';
/** What a problem says of a run that is none. */
const RUN_ID = /runId.*<agent>\.<session>\.<first seq>\.<hash>/;
const JSON_TYPE = { 'content-type': 'application/json' };

/** A body with one wrong field. */
function field(title: string, body: object, names: RegExp, status = 422): BadRequest {
  return { title, headers: JSON_TYPE, body: JSON.stringify(body), status, names };
}

/** Of a message that leaves its session to the lock scope. */
function place(title: string, body: object, names: RegExp, status = 422): BadRequest {
  return { ...field(`${title}, of a message by its place`, { text: 'x', ...body }, names, status), path: PLACES };
}

function raw(title: string, body: string | Uint8Array, names: RegExp, status = 400): BadRequest {
  return { title, headers: JSON_TYPE, body, status, names };
}

function header(title: string, name: string, value: string | string[], names: RegExp, status = 400): BadRequest {
  return { title, headers: { ...JSON_TYPE, [name]: value }, body: '{"text":"x"}', status, names };
}

function path(title: string, target: string, names: RegExp, status = 400, method = 'POST'): BadRequest {
  const isPost = method === 'POST';
  return {
    title,
    method,
    path: target,
    ...(isPost ? { headers: JSON_TYPE, body: '{"text":"x"}' } : {}),
    status,
    names,
  };
}

const CHUNKED = { ...JSON_TYPE, 'transfer-encoding': 'chunked' };
const typed = (type: string): Readonly<Record<string, string>> => ({ 'content-type': type });
const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const long = (bytes: number): string => 'x'.repeat(bytes);
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

export const BAD_REQUESTS: readonly BadRequest[] = [
  // The body as a whole.
  raw('no JSON', 'hello', /JSON/),
  raw('half a JSON', '{"text":', /JSON/),
  raw('two JSONs', '{"text":"x"}{"text":"y"}', /JSON/),
  raw('an empty body', '', /JSON|body/),
  raw('a trailing comma', '{"text":"x",}', /JSON/),
  raw('single quotes', "{'text':'x'}", /JSON/),
  raw('NaN', '{"data":NaN}', /JSON/),
  raw('bytes that are no text', new Uint8Array([0xff, 0xfe, 0x7b]), /JSON/),
  raw('half a character', latin1('{"text":"Grün"}'), /body.*UTF-8/),
  raw('half a surrogate pair as bytes', Buffer.from('7b2274657874223a22eda080227d', 'hex'), /body.*UTF-8/),
  raw('a prototype', '{"text":"x","__proto__":{"admin":true}}', /__proto__/, 422),
  raw('a constructor', '{"text":"x","constructor":{"prototype":{"a":1}}}', /constructor\.prototype/, 422),
  raw('a prototype in data', '{"data":[{"__proto__":1}]}', /data\.0\.__proto__/, 422),
  raw('an id twice', '{"id":"a","text":"x","id":"b"}', /id.*twice/, 422),
  raw('an id twice, once with an escape', '{"id":"a","text":"x","\\u0069d":"b"}', /id.*twice/, 422),
  raw('a key twice in data', '{"data":{"a":[{"b":1,"c":2,"b":1}]}}', /data\.a\.0\.b.*twice/, 422),
  raw('half a surrogate pair in data', '{"data":{"a":["\\ud83d"]}}', /data\.a\.0.*surrogate/, 422),
  raw('half a surrogate pair in a key of data', '{"data":{"\\udfff":1}}', /surrogate.*key/, 422),
  raw('data of 65 levels', `{"data":${nested(65)}}`, /data.*64 levels/, 422),
  { ...raw('Latin-1', '{"text":"x"}', /charset.*utf-8/, 415), headers: typed('application/json; charset=iso-8859-1') },
  { ...raw('UTF-16', '{"text":"x"}', /charset.*utf-8/, 415), headers: typed('application/json;charset="UTF-16"') },
  { ...raw('a compressed body', 'x', /Content-Encoding/, 415), headers: { ...JSON_TYPE, 'content-encoding': 'gzip' } },
  { ...raw('half a character in chunks', latin1('{"text":"Grün"}'), /body.*UTF-8/), headers: CHUNKED },
  raw('null', 'null', /body/, 422),
  raw('a number', '42', /body/, 422),
  raw('a text', '"hello"', /body/, 422),
  raw('a list', '[{"text":"x"}]', /body/, 422),
  raw('true', 'true', /body/, 422),
  raw('data nested a hundred thousand deep', `{"data":${nested(100_000)}}`, /data|nest|deep/, 422),
  raw('a body over 1 MiB', JSON.stringify({ data: long(1_100_000) }), /body/, 413),
  raw('a message over 768 KiB', JSON.stringify({ data: long(900_000) }), /body/, 413),
  { title: 'no body at all', headers: JSON_TYPE, status: 400, names: /JSON|body/ },
  { title: 'no content type', body: new Uint8Array([0x7b, 0x7d]), status: 415, names: /Content-Type/ },
  { title: 'plain text', headers: { 'content-type': 'text/plain' }, body: 'x', status: 415, names: /Content-Type/ },
  { title: 'XML', headers: { 'content-type': 'application/xml' }, body: '<x/>', status: 415, names: /Content-Type/ },
  {
    title: 'a form',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'text=x',
    status: 415,
    names: /Content-Type/,
  },
  {
    title: 'a multipart form',
    headers: { 'content-type': 'multipart/form-data; boundary=x' },
    body: '--x--',
    status: 415,
    names: /Content-Type/,
  },
  {
    title: 'a broken content type',
    headers: { 'content-type': 'json' },
    body: '{}',
    status: 415,
    names: /Content-Type/,
  },

  // Every field of the body.
  field('neither text nor data', {}, /text/),
  field('only an id', { id: 'x' }, /text/),
  field('an unknown field', { text: 'x', colour: 'red' }, /colour/),
  field('a misspelt field', { txt: 'x' }, /did you mean text/),
  field('another misspelt field', { text: 'x', replyto: 'http://127.0.0.1/' }, /did you mean replyTo/),
  field('priority, which is not there yet', { text: 'x', priority: 'high' }, /priority/),
  field('a task with a separator in its name', { text: 'x', task: 'a::b' }, /task/),
  field('a task without a name', { text: 'x', task: { namespace: 'ops' } }, /task/),
  field('a task with an absurd time', { text: 'x', task: { name: 't', ttlMs: 1e12 } }, /task/),
  field('a task that is a number', { text: 'x', task: 7 }, /task/),
  field('an id that is a number', { id: 7, text: 'x' }, /id/),
  field('an empty id', { id: '', text: 'x' }, /id/),
  field('an id that is null', { id: null, text: 'x' }, /id/),
  field('an id of 257 characters', { id: long(257), text: 'x' }, /id/),
  field('an id with a line break', { id: 'a\nb', text: 'x' }, /id/),
  field('an id with a NUL', { id: 'a\u0000', text: 'x' }, /id/),
  field('an id with a lone surrogate', { id: 'a\ud800', text: 'x' }, /id/),
  field('a text that is a number', { text: 7 }, /text/),
  field('a text that is null', { text: null }, /text/),
  field('a text that is an object', { text: { a: 1 } }, /text/),
  field('a text that is a list', { text: ['x'] }, /text/),
  field('a text with a lone surrogate', { text: 'a\udfff' }, /text/),
  field('a text over 256 KiB', { text: long(262_145) }, /text/, 413),
  field('a text over 256 KiB in few characters', { text: '🙂'.repeat(65_537) }, /text/, 413),
  field(
    'an author that is a text',
    { text: 'x', author: 'me' },
    /author: found a text of 2 bytes, wanted an object \{id, name\?\}/,
  ),
  field('an author without an id', { text: 'x', author: { name: 'me' } }, /author\.id: found nothing, wanted a text/),
  field('an author with an empty id', { text: 'x', author: { id: '' } }, /author/),
  field('an author with an unknown field', { text: 'x', author: { id: 'u1', role: 'admin' } }, /author/),
  field('an author with a long name', { text: 'x', author: { id: 'u1', name: long(257) } }, /author/),
  field('a thread that is a number', { text: 'x', thread: 7 }, /thread/),
  field('an empty thread', { text: 'x', thread: '' }, /thread/),
  field('a thread of 513 characters', { text: 'x', thread: long(513) }, /thread/),
  field('a channel that is a number', { text: 'x', channel: 7 }, /channel/),
  field('an empty channel', { text: 'x', channel: '' }, /channel/),
  field('a channel of 513 characters', { text: 'x', channel: long(513) }, /channel/),
  field('a strategy that is none', { text: 'x', strategy: 'later' }, /strategy.*queue, fifo/),
  field('a strategy of a later version', { text: 'x', strategy: 'interrupt' }, /strategy.*comes in a later version/),
  field('a strategy that is an object', { text: 'x', strategy: { toString: 1, valueOf: 1 } }, /strategy/),
  field('a negative number', { text: 'x', sequence: -1 }, /sequence: found the number -1, wanted a whole number/),
  field('a number with a fraction', { text: 'x', sequence: 0.5 }, /sequence/),
  field('a number that is not exact', { text: 'x', sequence: 2 ** 53 }, /sequence.*9007199254740991/),
  field('a number in a text', { text: 'x', sequence: '1' }, /sequence/),
  field('a number that is null', { text: 'x', sequence: null }, /sequence/),
  field('a replyTo that is no URL', { text: 'x', replyTo: 'me' }, /replyTo/),
  field('a replyTo of another scheme', { text: 'x', replyTo: 'file:///etc/passwd' }, /replyTo/),
  field('a replyTo in javascript', { text: 'x', replyTo: 'javascript:alert(1)' }, /replyTo/),
  field('a replyTo that is too long', { text: 'x', replyTo: `http://127.0.0.1/${long(2_048)}` }, /replyTo/),
  field('a replyTo that is an object', { text: 'x', replyTo: { url: 'http://127.0.0.1/' } }, /replyTo/),
  field('a sentAt that is a number', { text: 'x', sentAt: 1_700_000_000 }, /sentAt/),
  field('a sentAt that is a word', { text: 'x', sentAt: 'yesterday' }, /sentAt/),
  field('a sentAt that is a day', { text: 'x', sentAt: '2026-11-21' }, /sentAt/),
  field('a sentAt that is no date', { text: 'x', sentAt: '2026-13-40T25:61:00Z' }, /sentAt/),

  // A message that names no session.
  place('no channel', {}, /channel: found nothing, wanted.*telegram:-100/),
  place('a channel that is a number', { channel: 7 }, /channel: found the number 7/),
  place('a channel without a platform', { channel: ':C1' }, /channel.*<platform>:<id>/),
  place(
    'a channel whose key is too long',
    { channel: `a:${'é'.repeat(256)}` },
    /channel: found a session key of 514 bytes/,
  ),
  place('a thread whose key is too long', { channel: 'slack:C1', thread: long(510) }, /thread: found a session key/),
  place('a thread that is empty', { channel: 'slack:C1', thread: '' }, /thread/),
  place('a misspelt channel', { chanel: 'slack:C1' }, /did you mean channel/),
  { ...place('no agent of this name', { channel: 'a:1' }, /agent/, 404), path: '/v1/agents/nobody/messages' },
  { ...place('an agent that is no name', { channel: 'a:1' }, /agent/, 400), path: '/v1/agents/A/messages' },
  { ...place('a wait that is a word', { channel: 'a:1' }, /wait/, 400), path: `${PLACES}?wait=soon` },
  path('the messages of an agent by GET', '/v1/agents/main/messages', /openapi/, 404, 'GET'),

  // Headers.
  header('an empty Idempotency-Key', 'idempotency-key', '', /Idempotency-Key/),
  header('an Idempotency-Key of 257 characters', 'idempotency-key', long(257), /Idempotency-Key/),
  header('an Idempotency-Key with a tab', 'idempotency-key', 'a\tb', /Idempotency-Key/),
  header('an Idempotency-Key with a control character', 'idempotency-key', 'a\u0085b', /Idempotency-Key/),
  {
    ...header('two ids that differ', 'idempotency-key', 'a', /Idempotency-Key/),
    body: '{"id":"b","text":"x"}',
  },
  header('an Idempotency-Key that is no ASCII', 'idempotency-key', 'grün', /Idempotency-Key.*ASCII/),
  header('two Idempotency-Keys', 'Idempotency-Key', ['a', 'b'], /Idempotency-Key.*twice/),
  header('the same Idempotency-Key twice', 'idempotency-key', ['a', 'a'], /Idempotency-Key.*twice/),
  header('two traces', 'traceparent', ['00-a', '00-b'], /traceparent.*twice/),
  header('a trace that is no ASCII', 'tracestate', 'a=ü', /tracestate.*ASCII/),
  header('two content types', 'content-type', ['application/json', 'text/plain'], /Content-Type.*twice/),
  header('a Host of somewhere else', 'host', 'evil.example', /Host/, 403),
  header('a Host that was rebound', 'host', '127.0.0.1.evil.example:7070', /Host/, 403),
  header('an Origin of a web page', 'origin', 'http://evil.example', /Origin/, 403),
  header('an Origin of nowhere', 'origin', 'null', /Origin/, 403),
  {
    ...header('a web page that drops a dead message', 'origin', 'http://evil.example', /Origin/, 403),
    path: '/v1/dead/main.s.1/drop',
  },
  header('only an event stream accepted', 'accept', 'text/event-stream', /Accept/, 406),
  header('only HTML accepted', 'accept', 'text/html', /Accept/, 406),

  // The path and the query.
  path('an agent in capitals', '/v1/agents/MAIN/sessions/s/messages', /agent/),
  path('an agent with a dot', '/v1/agents/a.b/sessions/s/messages', /agent/),
  path('an agent that begins with a dash', '/v1/agents/-a/sessions/s/messages', /agent/),
  path('an agent of 65 characters', `/v1/agents/${long(65)}/sessions/s/messages`, /agent/),
  path('an agent with a wildcard', '/v1/agents/*/sessions/s/messages', /agent/),
  path('an agent that nobody configured', '/v1/agents/nobody/sessions/s/messages', /agent/, 404),
  path('an agent of the language', '/v1/agents/constructor/sessions/s/messages', /agent/, 404),
  path('a session of 513 bytes', `/v1/agents/main/sessions/${long(513)}/messages`, /session/),
  path(
    'a session of 129 emoji',
    `/v1/agents/main/sessions/${encodeURIComponent('🙂'.repeat(129))}/messages`,
    /session/,
  ),
  path('an empty session', '/v1/agents/main/sessions//messages', /openapi/, 404),
  path('a session that is no UTF-8', '/v1/agents/main/sessions/%ff/messages', /path/),
  path('a query that is no UTF-8', '/v1/dead?session=%ff', /query.*UTF-8/, 400, 'GET'),
  path('a session with broken percent-encoding', '/v1/agents/main/sessions/%zz/messages', /path/),
  path('a very long path', `/v1/agents/main/sessions/${long(9_000)}/messages`, /path|session|route/, 414),
  path('a wait that is a word', `${MESSAGES}?wait=soon`, /wait/),
  path('a wait without a unit', `${MESSAGES}?wait=30`, /wait/),
  path('a negative wait', `${MESSAGES}?wait=-1s`, /wait/),
  path('no wait at all', `${MESSAGES}?wait=0s`, /wait/),
  path('a wait of a day', `${MESSAGES}?wait=1440m`, /wait/),
  path('two waits', `${MESSAGES}?wait=1s&wait=2s`, /wait/),
  path('a wait that is empty', `${MESSAGES}?wait=`, /wait/),
  path('a wait in hours', `${MESSAGES}?wait=1h`, /wait/),
  path('a route that is none', '/v1/agents', /openapi/, 404, 'GET'),
  path('a method that is none', MESSAGES, /openapi/, 404, 'PUT'),
  path('a message that nobody sent', `${MESSAGES}/nobody`, /messageId/, 404, 'GET'),
  path('a limit of nothing', '/v1/agents/main/sessions/s/turns?limit=0', /limit/, 400, 'GET'),
  path('a limit that is too high', '/v1/agents/main/sessions/s/turns?limit=201', /limit/, 400, 'GET'),
  path('a limit that is no number', '/v1/agents/main/sessions/s/turns?limit=ten', /limit/, 400, 'GET'),
  path('two limits', '/v1/agents/main/sessions/s/turns?limit=1&limit=2', /limit/, 400, 'GET'),
  path('a dead message that is none', '/v1/dead/nobody', /deadId/, 404, 'GET'),
  path('a dead message with wildcards', '/v1/dead/*.*.1', /deadId/, 404, 'GET'),
  path('a dead message to retry that is none', '/v1/dead/main.s.1/retry', /deadId/, 404),
  path('a dead message to drop that is none', '/v1/dead/main.s.1/drop', /deadId/, 404),
  path('a cursor that is none', '/v1/dead?after=x', /after/, 400, 'GET'),
  path('a filter for an agent that is none', '/v1/dead?agent=A', /agent/, 400, 'GET'),
  path('a filter for two sessions', '/v1/dead?session=a&session=b', /session/, 400, 'GET'),

  // Cancelling.
  path('a message to cancel that nobody sent', `${MESSAGES}/nobody/cancel`, /messageId/, 404),
  path('a message to cancel of an agent that is none', '/v1/agents/nobody/sessions/s/messages/m/cancel', /agent/, 404),
  path('a message cancelled by GET', `${MESSAGES}/m/cancel`, /openapi/, 404, 'GET'),
  path('a message cancelled by DELETE', `${MESSAGES}/m`, /openapi/, 404, 'DELETE'),
  path('a session to cancel of 513 bytes', `/v1/agents/main/sessions/${long(513)}/cancel`, /session/),
  path('a session cancelled by GET', `${SESSION}/cancel`, /openapi/, 404, 'GET'),
  path('a cancel with a wait that is a word', `${SESSION}/cancel?wait=soon`, /wait/),
  path('a cancel with two waits', `${SESSION}/cancel?wait=1s&wait=2s`, /wait/),
  {
    ...header('a cancel with an empty Idempotency-Key', 'idempotency-key', '', /Idempotency-Key/),
    path: `${SESSION}/cancel`,
  },
  { ...header('a cancel by a web page', 'origin', 'http://evil.example', /Origin/, 403), path: `${SESSION}/cancel` },
  path('a run of another form', '/v1/runs/6f1b9ad0-7a32-4f0e-9d3b-6f4a4d0c1f8e/cancel', RUN_ID, 404),
  path('a dead id for a run', '/v1/runs/main.s.1/cancel', RUN_ID, 404),
  path('a run with wildcards', '/v1/runs/main.*.1.0123456789/cancel', RUN_ID, 404),
  path('a run of a session that is not encoded', '/v1/runs/main.a%3A1.1.0123456789/cancel', RUN_ID, 404),
  path('a run of a session in lower-case hex', '/v1/runs/main.a=3a1.1.0123456789/cancel', RUN_ID, 404),
  path('a run of an agent that is none', '/v1/runs/nobody.s.1.0123456789/cancel', RUN_ID, 404),
  path('a run that never was', '/v1/runs/main.s.1.0123456789/cancel', RUN_ID, 404),
  path('a run with a wait of a day', '/v1/runs/main.s.1.0123456789/cancel?wait=1440m', /wait/),
  path('a run cancelled by GET', '/v1/runs/main.s.1.0123456789/cancel', /openapi/, 404, 'GET'),
];
