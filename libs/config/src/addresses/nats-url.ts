/** The parts of a broker URL, under the names that the NATS client's `connect()` accepts. */
export interface NatsConnectOptions {
  readonly servers: string;
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  /** Present for `tls://`: an empty object makes the client refuse a server without TLS. */
  readonly tls?: Record<string, never>;
}

export function isNatsUrl(url: string): boolean {
  return parse(url) !== undefined;
}

/**
 * The NATS client does not support credentials in a URL (it takes `user:password@host:4222` for an IPv6 address and throws)
 * and it ignores the scheme. So both are split off here: otherwise no login would work, and `tls://` might run unencrypted.
 */
export function natsConnectOptions(url: string): NatsConnectOptions {
  const parsed = parse(url);
  if (parsed === undefined) throw new TypeError(`not a NATS URL: ${redactUrl(url)}`);
  const { user, pass } = parsed;
  return {
    servers: parsed.server,
    // As in every NATS client: a name without a password before the @ is a token.
    ...(pass !== undefined ? { user, pass } : user === '' ? {} : { token: user }),
    ...(parsed.tls ? { tls: {} } : {}),
  };
}

/** The URL without credentials, for logs. It rather hides too much than too little, even in text that is not a URL. */
export function redactUrl(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, '$1***@');
}

function parse(url: string): { server: string; user: string; pass?: string; tls: boolean } | undefined {
  try {
    const { protocol, hostname, host, pathname, search, hash, username, password } = new URL(url);
    if ((protocol !== 'nats:' && protocol !== 'tls:') || hostname === '') return undefined;
    if ((pathname !== '' && pathname !== '/') || search !== '' || hash !== '' || hostname.includes(','))
      return undefined;
    const user = decodeURIComponent(username);
    const pass = password === '' ? {} : { pass: decodeURIComponent(password) };
    return { server: host, user, ...pass, tls: protocol === 'tls:' };
  } catch {
    return undefined;
  }
}
