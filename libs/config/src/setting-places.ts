/** Groups whose keys people choose: names of agents, and of platforms. */
const NAMED_GROUPS: readonly PropertyKey[] = ['agents', 'channels'];

/** Where a path leads, whatever the agent or platform on it is called: `agents.*.concurrency`; the root is ''. */
export function placeOf(path: readonly PropertyKey[]): string {
  const [first = '', second, ...rest] = path;
  const keys = second !== undefined && NAMED_GROUPS.includes(first) ? [first, '*', ...rest] : path;
  return keys.map(String).join('.');
}
