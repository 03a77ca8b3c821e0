import { nodeProblem } from '#contracts';

/**
 * Ends the process on a Node that is too old. Imported first of all: what comes behind it may fail on such a one, with a message
 * that names a module which only a newer one has.
 */
const problem = nodeProblem(process.versions.node);
if (problem !== undefined) {
  process.stderr.write(`lanekeeper: ${problem}\n`);
  process.exit(1);
}
