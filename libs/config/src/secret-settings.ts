import { withoutCredentials } from './agent-url.js';

/** Which settings hold secrets. Whoever shows, stores or compares settings asks here, so that none is forgotten. */

/**
 * `yes`: its whole value. `in-url`: the credentials of a URL; the rest of it may be shown (`withoutSecrets`). A header whose
 * value stands elsewhere (`{env}`, `{file}`) is `yes` too: the place of a secret is shown to nobody who need not know it.
 */
export function secrecyOf(path: readonly PropertyKey[]): 'yes' | 'in-url' | 'no' {
  const [first, , field] = path;
  if (first === 'nats') return path[1] === 'url' ? 'in-url' : 'no';
  if (first !== 'agents') return 'no';
  if (field === 'secret' || field === 'headers') return 'yes';
  return field === 'url' ? 'in-url' : 'no';
}

/** A setting as it may be shown: `undefined` when nothing of it may. */
export function withoutSecrets(path: readonly PropertyKey[], value: unknown): unknown {
  const secrecy = secrecyOf(path);
  if (secrecy === 'no') return value;
  return secrecy === 'in-url' && typeof value === 'string' ? withoutCredentials(value) : undefined;
}
