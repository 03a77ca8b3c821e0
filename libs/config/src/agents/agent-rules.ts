import type { RuleProblem } from '../rule-problem.js';
import type { CheckedSettings } from '../settings.js';
import { credentialsOf, userAndPassword } from './agent-url.js';

/** Rules for the requests to agents: the credentials in `url`, and the additional headers. */

type Finding = Omit<RuleProblem, 'path'>;

/** Rule: the agent gets the decoded credentials. */
export function credentialsAreReadable({ agents }: CheckedSettings): RuleProblem[] {
  return Object.entries(agents).flatMap(([name, { url }]) => {
    const credentials = credentialsOf(url);
    const finding = credentials === undefined ? undefined : whyUnreadable(credentials);
    return finding === undefined ? [] : [{ path: ['agents', name, 'url'], ...finding }];
  });
}

function whyUnreadable(credentials: string): Finding | undefined {
  const [user, password] = userAndPassword(credentials).map(decoded);
  if (user === undefined || password === undefined || /\p{Cc}/u.test(user + password)) {
    return {
      found: 'credentials with a percent sign that begins no character, or with control characters',
      wanted: 'http(s)://user:password@host, with %25 for a percent sign',
      remedy: 'write each special character as its percent escape',
    };
  }
  if (!user.includes(':')) return undefined;
  return {
    found: 'a user name with a colon, where Basic authentication ends the name',
    wanted: 'a user name without a colon',
    remedy: 'set the header authorization in agents.<name>.headers instead',
  };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** An operator must not set headers of the connection or of the message framing (RFC 9110, 7.6.1). */
const HOP_BY_HOP = [
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade', 'expect', 'content-length', 'host'],
];
/** Headers that Lanekeeper sets itself; with two values it would be undefined which one counts. */
const OURS = [
  ...['accept', 'accept-encoding', 'content-encoding', 'content-type'],
  ...['idempotency-key', 'traceparent', 'tracestate'],
];
const OUR_PREFIX = 'x-lanekeeper-';
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;

/** Rule: each header has one value, and means what people expect. */
export function headersAreTheirs({ agents }: CheckedSettings): RuleProblem[] {
  return Object.entries(agents).flatMap(([agent, { headers = {}, url }]) => {
    const seen = new Set<string>(credentialsOf(url) === undefined ? [] : ['authorization']);
    return Object.keys(headers).flatMap((name) => {
      const lower = name.toLowerCase();
      const finding = whyRefused(lower) ?? (seen.has(lower) ? whyTwice(lower) : undefined);
      seen.add(lower);
      return finding === undefined ? [] : [{ path: ['agents', agent, 'headers', name], ...finding }];
    });
  });
}

function whyRefused(lower: string): Finding | undefined {
  if (!TOKEN.test(lower)) {
    const wanted = "a header name: letters, digits and !#$%&'*+-.^_`|~";
    return { found: 'a name that no header can have', wanted, remedy: 'rename it' };
  }
  const remedy = 'leave it out';
  if (HOP_BY_HOP.includes(lower)) {
    return { found: 'a header of the connection', wanted: 'headers that reach the agent as they are', remedy };
  }
  if (OURS.includes(lower) || lower.startsWith(OUR_PREFIX)) {
    return { found: 'a header that Lanekeeper sets itself', wanted: 'other headers', remedy };
  }
  return undefined;
}

function whyTwice(lower: string): Finding {
  const other =
    lower === 'authorization' ? 'another one, or credentials in the url, beside it' : 'another one beside it';
  return {
    found: other,
    wanted: `one value for ${lower} (names of headers have no case)`,
    remedy: 'leave out one of them',
  };
}
