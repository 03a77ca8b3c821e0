/** What stands in for a secret. */
const HIDDEN = '***';
/** What is shorter is no secret, and stands in many a word. */
const LEAST_CHARS = 4;

/**
 * The texts by which a request shows that it is ours, and the parts of them that tell as much: some servers and proxies repeat a
 * request in their refusal, which goes on into records, dead letters and routes.
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
  // The longest first: what is left of one that has another in it would tell the rest.
  return [...texts].filter((text) => text.length >= LEAST_CHARS).toSorted((a, b) => b.length - a.length);
}

/** A text without them. */
export function hideSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce((hidden, secret) => hidden.replaceAll(secret, HIDDEN), text);
}
