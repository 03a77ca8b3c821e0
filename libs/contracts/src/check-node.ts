import { nodeProblem } from './node-version.js';

/**
 * Ends the process on a Node that is too old. Each program imports this file first, and everything else by `await import(…)`:
 * an old Node fails while it loads code that it does not know, with an error about a module that only a newer Node has. So this
 * file imports one small file, and not the whole library.
 */
const problem = nodeProblem(process.versions.node);
if (problem !== undefined) {
  process.stderr.write(`lanekeeper: ${problem}\n`);
  process.exit(1);
}
