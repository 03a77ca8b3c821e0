// `npm run demo`: the story of the product, live in the terminal, from a fresh clone on.
import { bootstrap, buildIfNeeded, installIfNeeded, runNode24 } from './prepare.mjs';

await bootstrap(async () => {
  await installIfNeeded();
  await buildIfNeeded();
  return runNode24(['--enable-source-maps', 'dist/apps/cli/src/main.js', 'demo', ...process.argv.slice(2)]);
});
