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
export function userAndPassword(credentials: string): [string, string] {
  const [user = '', ...password] = credentials.split(':');
  return [user, password.join(':')];
}
