// `npm run bench`: our figures beside those of others, from a fresh clone on. Arguments after `--` go to the bench:
// `npm run bench -- --only turns --runs 1`.
import { bootstrap, buildIfNeeded, installIfNeeded, runNode24 } from './prepare.mjs';

await bootstrap(async () => {
  await installIfNeeded();
  await buildIfNeeded();
  // The bench and the programs that it starts are compiled beside what they measure.
  const code = await runNode24(['node_modules/.bin/tsc', '-p', 'test/bench/tsconfig.json']);
  if (code !== 0) return code;
  return runNode24(['--enable-source-maps', 'dist/test/bench/bench.js', ...process.argv.slice(2)]);
});
