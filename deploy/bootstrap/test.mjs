// `npm test`: all tests, from a fresh clone on. Arguments after `--` go to Vitest: `npm test -- --project unit libs/lanes`.
import { bootstrap, buildIfNeeded, installIfNeeded, runNode24 } from './prepare.mjs';

await bootstrap(async () => {
  await installIfNeeded();
  // The end-to-end tests start the compiled program, as users do.
  await buildIfNeeded();
  return runNode24(['node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)]);
});
