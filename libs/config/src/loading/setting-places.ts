/** Groups whose keys people choose: names of agents, and of platforms. */
export const NAMED_GROUPS: readonly string[] = ['agents', 'channels'];

/** Where a path leads, whatever the agent or platform on it is called: `agents.*.concurrency`; the root is ''. */
export function placeOf(path: readonly PropertyKey[]): string {
  const [first = '', second, ...rest] = path;
  const keys = second !== undefined && NAMED_GROUPS.includes(String(first)) ? [first, '*', ...rest] : path;
  return keys.map(String).join('.');
}
