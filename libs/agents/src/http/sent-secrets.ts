/** What stands in for a secret. */
const HIDDEN = '***';
/** A shorter text is not a secret, and occurs in many words. */
const LEAST_CHARS = 4;

/**
 * Secrets in a request, and parts of them that reveal as much. Some servers and proxies repeat the request in their
 * refusal, which is stored in records and dead letters and shown by routes.
 */
export function sentSecrets(headers: Readonly<Record<string, string>>, secret: string | undefined): readonly string[] {
  const texts = new Set(secret === undefined ? [] : [secret]);
  for (const value of Object.values(headers)) {
    texts.add(value);
    // `Bearer <token>`, `Basic <pair>`
    const [scheme = '', token] = value.split(/ +(.*)/s, 2);
    if (token === undefined || token === '') continue;
    texts.add(token);
    if (scheme.toLowerCase() !== 'basic') continue;
    const pair = Buffer.from(token, 'base64').toString();
    texts.add(pair).add(pair.slice(pair.indexOf(':') + 1));
  }
  // The longest first. Otherwise a replaced part could leave the rest of a longer secret visible.
  return [...texts].filter((text) => text.length >= LEAST_CHARS).toSorted((a, b) => b.length - a.length);
}

/** The text with its secrets replaced. */
export function hideSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce((hidden, secret) => hidden.replaceAll(secret, HIDDEN), text);
}
