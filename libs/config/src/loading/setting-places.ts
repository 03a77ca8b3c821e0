export type SettingPath = readonly PropertyKey[];

/** Groups whose keys people choose: names of agents, and of platforms. */
export const NAMED_GROUPS: readonly string[] = ['agents', 'channels'];

/** The pattern of a path, independent of the agent's or platform's name: `agents.*.concurrency`; the root is ''. */
export function placeOf(path: SettingPath): string {
  const [first = '', second, ...rest] = path;
  const keys = second !== undefined && NAMED_GROUPS.includes(String(first)) ? [first, '*', ...rest] : path;
  return keys.map(String).join('.');
}

export function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A path as people write it. Keys come from a file, so line breaks and long texts in them are cut. */
export function dotted(path: SettingPath): string {
  const keys = path.map((key) => {
    const clean = String(key).replace(/\p{C}/gu, '?');
    return clean.length > 64 ? `${clean.slice(0, 63)}…` : clean;
  });
  return keys.join('.') || 'settings';
}
