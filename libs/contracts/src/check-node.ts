import { nodeProblem } from './node-version.js';

/**
 * Ends the process on a Node that is too old. Each program imports this, and all else behind it by `await import(…)`: such a
 * Node fails while it loads what it does not know, with a message that names a module which only a newer one has. So this
 * imports one small file, and not the library around it.
 */
const problem = nodeProblem(process.versions.node);
if (problem !== undefined) {
  process.stderr.write(`lanekeeper: ${problem}\n`);
  process.exit(1);
}
