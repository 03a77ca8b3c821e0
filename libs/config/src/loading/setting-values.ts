import { nameKind, showValue } from '#contracts';

/** Groups whose values may all be secrets, and names of single secret settings. */
const SECRET_GROUPS: ReadonlySet<PropertyKey> = new Set(['headers', 'auth']);
const SECRET_NAME = /secret|password|token|key|credential|auth/i;

/** A value as a problem report shows it: shortened; for a possible secret only the kind of value. */
export function describeFound(path: readonly PropertyKey[], value: unknown): string {
  return mayBeSecret(path, value) ? nameKind(value) : showValue(value);
}

/** This includes a URL with a user in it. */
function mayBeSecret(path: readonly PropertyKey[], value: unknown): boolean {
  if (path.some((key) => SECRET_GROUPS.has(key)) || SECRET_NAME.test(String(path.at(-1)))) return true;
  return typeof value === 'string' && (path[0] === 'nats' || value.includes('@'));
}
