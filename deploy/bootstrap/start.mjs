// `npm start`: everything in one process, from a fresh clone on. Arguments after `--` go to `lanekeeper up`.
import { bootstrap, buildIfNeeded, installIfNeeded, runNode24 } from './prepare.mjs';

await bootstrap(async () => {
  await installIfNeeded();
  await buildIfNeeded();
  return runNode24(['--enable-source-maps', 'dist/apps/cli/src/main.js', 'up', ...process.argv.slice(2)]);
});
