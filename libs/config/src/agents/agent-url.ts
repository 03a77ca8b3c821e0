/** An agent's `url` may contain credentials, as in curl and browsers: `https://user:password@host/turn`. */

/** `user:password` as written in the URL, percent-encoded; `undefined` when there are none. */
export function credentialsOf(url: string | undefined): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined;
  const { username, password } = new URL(url);
  return username === '' && password === '' ? undefined : `${username}:${password}`;
}

/** The URL with these credentials instead of its own; '' removes them. */
export function withCredentials(url: string, credentials: string): string {
  const changed = new URL(url);
  [changed.username, changed.password] = userAndPassword(credentials);
  return changed.href;
}

interface SplitUrl {
  /** Without credentials. */
  readonly url: string;
  /** The header made from them (RFC 7617); absent = there are none. */
  readonly authorization?: string;
}

/** `url` has passed the rule `credentialsAreReadable`. */
export function splitCredentials(url: string): SplitUrl {
  const credentials = credentialsOf(url);
  if (credentials === undefined) return { url };
  const pair = Buffer.from(decodeURIComponent(credentials)).toString('base64');
  return { url: withCredentials(url, ''), authorization: `Basic ${pair}` };
}

/** A colon inside a name is encoded. */
export function userAndPassword(credentials: string): [string, string] {
  const [user = '', ...password] = credentials.split(':');
  return [user, password.join(':')];
}
