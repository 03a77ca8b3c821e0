import type { RuleProblem } from '../settings-rules.js';
import type { CheckedSettings } from '../settings.js';

/** An agent's `url` may hold credentials, as curl and browsers have them: `https://user:password@host/turn`. */

/** `user:password`, each as it stands in the URL, percent-encoded; `undefined` when there are none. */
export function credentialsOf(url: string | undefined): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined;
  const { username, password } = new URL(url);
  return username === '' && password === '' ? undefined : `${username}:${password}`;
}

/** The URL with these in place of its own; with '' it has none. */
export function withCredentials(url: string, credentials: string): string {
  const changed = new URL(url);
  [changed.username, changed.password] = userAndPassword(credentials);
  return changed.href;
}

interface SplitUrl {
  /** Without credentials. */
  readonly url: string;
  /** The header that they become (RFC 7617); absent = there are none. */
  readonly authorization?: string;
}

/** `url` has passed `credentialsAreReadable`. */
export function splitCredentials(url: string): SplitUrl {
  const credentials = credentialsOf(url);
  if (credentials === undefined) return { url };
  const pair = Buffer.from(decodeURIComponent(credentials)).toString('base64');
  return { url: withCredentials(url, ''), authorization: `Basic ${pair}` };
}

/** A colon inside a name is encoded. */
function userAndPassword(credentials: string): [string, string] {
  const [user = '', ...password] = credentials.split(':');
  return [user, password.join(':')];
}

/** Rule: what is decoded is what the agent gets. */
export function credentialsAreReadable({ agents }: CheckedSettings): RuleProblem[] {
  return Object.entries(agents).flatMap(([name, { url }]) => {
    const credentials = credentialsOf(url);
    const finding = credentials === undefined ? undefined : whyUnreadable(credentials);
    return finding === undefined ? [] : [{ path: ['agents', name, 'url'], ...finding }];
  });
}

function whyUnreadable(credentials: string): Omit<RuleProblem, 'path'> | undefined {
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
