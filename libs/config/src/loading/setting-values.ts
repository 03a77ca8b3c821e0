import { nameKind, showValue } from '#contracts';

/** Groups whose values may all be secrets, and names of single ones. */
const SECRET_GROUPS: ReadonlySet<PropertyKey> = new Set(['headers', 'auth']);
const SECRET_NAME = /secret|password|token|key|credential|auth/i;

/** How a problem report shows a value: as it stands, shortened; of what may hold a secret only what kind of value it is. */
export function describeFound(path: readonly PropertyKey[], value: unknown): string {
  return mayBeSecret(path, value) ? nameKind(value) : showValue(value);
}

/** Also of a URL with a user in it. */
function mayBeSecret(path: readonly PropertyKey[], value: unknown): boolean {
  if (path.some((key) => SECRET_GROUPS.has(key)) || SECRET_NAME.test(String(path.at(-1)))) return true;
  return typeof value === 'string' && (path[0] === 'nats' || value.includes('@'));
}
