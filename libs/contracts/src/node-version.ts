/** The Node that every process of ours is built for and tested with (ADR 0018). */
const WANTED_MAJOR = 24;

/** What is wrong with the current Node; `undefined` when nothing is. `version`: such as 24.21.0. */
export function nodeProblem(version: string): string | undefined {
  if (Number(version.split('.', 1)[0]) >= WANTED_MAJOR) return undefined;
  return (
    `Node: found ${version}, wanted ${WANTED_MAJOR} or newer; run it with the Node 24 that this package brings ` +
    '(`npm start`, or `npx lanekeeper` in its folder), or install a newer one'
  );
}
