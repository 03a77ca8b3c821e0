import type { RuleProblem } from './settings-rules.js';
import type { CheckedSettings } from './settings.js';

/** An agent's `url` may hold credentials, as curl and browsers have them: `https://user:password@host/turn`. */

interface SplitUrl {
  /** Without credentials. */
  readonly url: string;
  /** The header that they become (RFC 7617); absent = there are none. */
  readonly authorization?: string;
}

/** `url` has passed `credentialsAreReadable`. */
export function splitCredentials(url: string): SplitUrl {
  const parsed = new URL(url);
  const { username, password } = parsed;
  if (username === '' && password === '') return { url };
  parsed.username = '';
  parsed.password = '';
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { url: parsed.href, authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** For people: what is left says which address it is, and no secret. */
export function withoutCredentials(url: string): string {
  return URL.canParse(url) ? splitUrl(url) : 'no URL';
}

function splitUrl(url: string): string {
  const parsed = new URL(url);
  parsed.username = '';
  parsed.password = '';
  return parsed.href;
}

/** Rule: what is decoded is what the agent gets. */
export function credentialsAreReadable({ agents }: CheckedSettings): RuleProblem[] {
  return Object.entries(agents).flatMap(([name, { url }]) => {
    const finding = url === undefined || !URL.canParse(url) ? undefined : whyUnreadable(new URL(url));
    return finding === undefined ? [] : [{ path: ['agents', name, 'url'], ...finding }];
  });
}

function whyUnreadable({ username, password }: URL): Omit<RuleProblem, 'path'> | undefined {
  const [user, secret] = [decoded(username), decoded(password)];
  if (user === undefined || secret === undefined || /\p{Cc}/u.test(user + secret)) {
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
