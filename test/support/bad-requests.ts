/**
 * Bad requests that only a real connection can bring: bytes, sizes, types, headers, methods, paths. What a field may hold is
 * in the unit tables beside the checks (message.spec.ts, session-route-fields.spec.ts, run-id.spec.ts, json-read.spec.ts);
 * here one row of each kind shows that the route asks its check. Every row is held to the same promises by
 * test/e2e/bad-input-is-refused: a 4xx problem, nothing stored, the process lives.
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
/** What a problem says of a run that is none. */
const RUN_ID = /runId.*<agent>\.<session>\.<first seq>\.<hash>/;
const JSON_TYPE = { 'content-type': 'application/json' };

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
  // The body as bytes.
  raw('no JSON', 'hello', /JSON/),
  raw('an empty body', '', /JSON|body/),
  raw('bytes that are no text', new Uint8Array([0xff, 0xfe, 0x7b]), /JSON/),
  raw('half a character', latin1('{"text":"Grün"}'), /body.*UTF-8/),
  raw('half a surrogate pair as bytes', Buffer.from('7b2274657874223a22eda080227d', 'hex'), /body.*UTF-8/),
  { ...raw('half a character in chunks', latin1('{"text":"Grün"}'), /body.*UTF-8/), headers: CHUNKED },
  { title: 'no body at all', headers: JSON_TYPE, status: 400, names: /JSON|body/ },
  raw('a key twice in data', '{"data":{"a":[{"b":1,"c":2,"b":1}]}}', /data\.a\.0\.b.*twice/, 422),
  raw('data nested a hundred thousand deep', `{"data":${nested(100_000)}}`, /data|nest|deep/, 422),
  raw('an unknown field', '{"text":"x","colour":"red"}', /colour/, 422),

  // Its size.
  raw('a body over 1 MiB', JSON.stringify({ data: long(1_100_000) }), /body/, 413),
  raw('a message over 768 KiB', JSON.stringify({ data: long(900_000) }), /body/, 413),
  raw('a text over 256 KiB in few characters', JSON.stringify({ text: '🙂'.repeat(65_537) }), /text/, 413),

  // Its type and its encoding.
  { ...raw('Latin-1', '{"text":"x"}', /charset.*utf-8/, 415), headers: typed('application/json; charset=iso-8859-1') },
  { ...raw('UTF-16', '{"text":"x"}', /charset.*utf-8/, 415), headers: typed('application/json;charset="UTF-16"') },
  { ...raw('a compressed body', 'x', /Content-Encoding/, 415), headers: { ...JSON_TYPE, 'content-encoding': 'gzip' } },
  { title: 'no content type', body: new Uint8Array([0x7b, 0x7d]), status: 415, names: /Content-Type/ },
  { ...raw('plain text', 'x', /Content-Type/, 415), headers: typed('text/plain') },
  { ...raw('XML', '<x/>', /Content-Type/, 415), headers: typed('application/xml') },
  { ...raw('a form', 'text=x', /Content-Type/, 415), headers: typed('application/x-www-form-urlencoded') },
  { ...raw('a multipart form', '--x--', /Content-Type/, 415), headers: typed('multipart/form-data; boundary=x') },
  { ...raw('a broken content type', '{}', /Content-Type/, 415), headers: typed('json') },

  // Headers.
  header('an empty Idempotency-Key', 'idempotency-key', '', /Idempotency-Key/),
  header('an Idempotency-Key that is no ASCII', 'idempotency-key', 'grün', /Idempotency-Key.*ASCII/),
  header('two Idempotency-Keys', 'Idempotency-Key', ['a', 'b'], /Idempotency-Key.*twice/),
  header('two traces', 'traceparent', ['00-a', '00-b'], /traceparent.*twice/),
  header('two content types', 'content-type', ['application/json', 'text/plain'], /Content-Type.*twice/),
  header('a Host that was rebound', 'host', '127.0.0.1.evil.example:7070', /Host/, 403),
  header('an Origin of a web page', 'origin', 'http://evil.example', /Origin/, 403),
  {
    ...header('a web page that drops a dead message', 'origin', 'http://evil.example', /Origin/, 403),
    path: '/v1/dead/main.s.1/drop',
  },
  { ...header('a cancel by a web page', 'origin', 'http://evil.example', /Origin/, 403), path: `${SESSION}/cancel` },
  header('only an event stream accepted', 'accept', 'text/event-stream', /Accept/, 406),

  // The path, the query and the method.
  path('an agent that is not configured', '/v1/agents/nobody/sessions/s/messages', /agent/, 404),
  path('an empty session', '/v1/agents/main/sessions//messages', /openapi/, 404),
  path('a session of 513 bytes', `/v1/agents/main/sessions/${long(513)}/messages`, /session/),
  path('a session that is no UTF-8', '/v1/agents/main/sessions/%ff/messages', /path/),
  path('a query that is no UTF-8', '/v1/dead?session=%ff', /query.*UTF-8/, 400, 'GET'),
  path('a session with broken percent-encoding', '/v1/agents/main/sessions/%zz/messages', /path/),
  path('a very long path', `/v1/agents/main/sessions/${long(9_000)}/messages`, /path|session|route/, 414),
  path('two waits', `${MESSAGES}?wait=1s&wait=2s`, /wait/),
  path('two limits', `${SESSION}/turns?limit=1&limit=2`, /limit/, 400, 'GET'),
  path('a cursor that is none', '/v1/dead?after=x', /after/, 400, 'GET'),
  path('a route that is none', '/v1/agents', /openapi/, 404, 'GET'),
  path('a method that is none', MESSAGES, /openapi/, 404, 'PUT'),
  path('the messages of an agent by GET', '/v1/agents/main/messages', /openapi/, 404, 'GET'),
  path('a message cancelled by DELETE', `${MESSAGES}/m`, /openapi/, 404, 'DELETE'),
  path('a session cancelled by GET', `${SESSION}/cancel`, /openapi/, 404, 'GET'),
  path('a run cancelled by GET', '/v1/runs/main.s.1.0123456789/cancel', /openapi/, 404, 'GET'),

  // One id that leads nowhere for each route that takes one.
  path('a message that was never sent', `${MESSAGES}/none`, /messageId/, 404, 'GET'),
  path('a message to cancel that was never sent', `${MESSAGES}/none/cancel`, /messageId/, 404),
  path('a dead message that is none', '/v1/dead/none', /deadId/, 404, 'GET'),
  path('a dead message to retry that is none', '/v1/dead/main.s.1/retry', /deadId/, 404),
  path('a dead message to drop that is none', '/v1/dead/main.s.1/drop', /deadId/, 404),
  path('a run that never was', '/v1/runs/main.s.1.0123456789/cancel', RUN_ID, 404),
];
